// Serves rows as LiteLLM 1.96 does, of the size that was measured there (6 KB of metadata each),
// made from their number alone, so that serving costs little beside reading.
import { createServer } from 'node:http'
import { metadataOf } from '../dist/devnet/litellm/metadata.js'
import { traitsOf } from '../dist/devnet/litellm/versions.js'

const ROWS = Number(process.argv[2])
const START_MS = Date.UTC(2026, 10, 1)
/** 40 calls a second: a busy gateway; a page of 1000 is 25 seconds. */
const STEP_MS = 25
const MODELS = ['gpt-4o', 'gpt-4o-mini', 'claude-3-opus', 'claude-sonnet-4']
const END_MS = START_MS + ROWS * STEP_MS

const tails = MODELS.map((model) => tailOf(model))

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://litellm')
  const body = answerTo(url)
  response.writeHead(200, {
    'content-type': 'application/json',
    // Long after the last row: all of them have settled.
    date: new Date(END_MS + 600_000).toUTCString(),
  })
  response.end(body)
})
// Its readers take turns, each longer than Node keeps an idle connection.
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1', () => {
  process.send({ url: `http://127.0.0.1:${server.address().port}` })
})

function answerTo(url) {
  switch (url.pathname) {
    case '/spend/logs/v2':
      return page(url.searchParams)
    case '/health/readiness':
      return '{"status":"healthy","db":"connected"}'
    case '/health/readiness/details':
      return '{"status":"healthy","db":"connected","litellm_version":"1.104.2"}'
    default:
      return '"I\'m alive!"'
  }
}

function page(params) {
  const at = (name) => Date.parse(`${params.get(name).replace(' ', 'T')}Z`)
  const first = Math.max(0, Math.ceil((at('start_date') - START_MS) / STEP_MS))
  const last = Math.min(ROWS - 1, Math.floor((at('end_date') - START_MS) / STEP_MS))
  const total = Math.max(0, last - first + 1)
  const [size, number] = [Number(params.get('page_size')), Number(params.get('page'))]
  const rows = []
  const from = first + (number - 1) * size
  for (let i = from; i < Math.min(from + size, last + 1); i += 1) rows.push(rowOf(i))
  const capped = Math.min(total, 10_000)
  return (
    `{"data":[${rows.join(',')}],"total":${capped},"page":${number},"page_size":${size},` +
    `"total_pages":${Math.ceil(capped / size)},"total_is_capped":${total > 10_000}}`
  )
}

function rowOf(i) {
  const time = new Date(START_MS + i * STEP_MS).toISOString().slice(0, -1)
  // As random as a UUID for the index that it goes into, and the same whenever it is asked for.
  const hash = (Math.imul(i + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
  const number = i.toString(16).padStart(12, '0')
  const [prompt, completion] = [50 + (i % 5_000), 5 + (i % 900)]
  return (
    `{"request_id":"chatcmpl-${hash}-51d8-48a6-acd5-${number}","call_type":"acompletion",` +
    `"api_key":"ffbc86ab5d0c7d3fd5ad3bb2e4ac5a2d6c5ad0a3a0b4b6d1f2c8c1f4e8a7d901","spend":${prompt / 1e6},` +
    `"total_tokens":${prompt + completion},"prompt_tokens":${prompt},"completion_tokens":${completion},` +
    `"startTime":"${time}+00:00","endTime":"${time}+00:00","user":"user-${i % 997}",${tails[i % tails.length]}`
  )
}

/** What is the same in all rows of a model. */
function tailOf(model) {
  const call = {
    ...{ status: 'success', provider: 'openai', cached_prompt_tokens: 20, prompt_tokens: 120 },
    ...{ completion_tokens: 45, api_key: 'ffbc86ab', key_alias: 'user-1', team_id: '' },
    ...{ user: 'user', call_id: '3c72', error_class: null, spend: 0.001, model: `openai/${model}` },
  }
  const row = {
    ...{ completionStartTime: '2026-11-21T05:02:53.707+00:00', model: `openai/${model}` },
    ...{
      model_id: '8f2b3c1d9e7a',
      model_group: model,
      custom_llm_provider: 'openai',
      api_base: '',
    },
    metadata: metadataOf(call, traitsOf('1.96.2'), 'full'),
    ...{ cache_hit: 'None', cache_key: 'Cache OFF', request_tags: ['User-Agent: curl'] },
    ...{ team_id: '', organization_id: '', end_user: 'end-1', requester_ip_address: '127.0.0.1' },
    ...{ session_id: '0e95', status: 'success', mcp_namespaced_tool_name: null, agent_id: null },
    request_duration_ms: 812,
  }
  return JSON.stringify(row).slice(1)
}

// Whoever started it is gone.
process.on('disconnect', () => process.exit())
