import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type CountingRules, parseSpendLog } from '../../src/sources/litellm/parse.js'

// The rows are as recorded from the genuine proxy, of the release that their name tells.
const fixture = new URL('../fixtures/litellm/rows.json', import.meta.url)
const rows = JSON.parse(readFileSync(fixture, 'utf8')) as Record<string, Record<string, unknown>>

const COUNT_ALL: CountingRules = {
  ...{ cacheHits: 'count', clientDisconnects: 'count', failuresWithUsage: 'hold' },
}

function recordOf(name: string, rules = COUNT_ALL) {
  const parsed = parseSpendLog('main', rows[name], rules)
  if (!parsed.ok) throw new Error(parsed.reject.reason)
  return parsed.record
}

test('a success becomes a record, field by field', () => {
  expect(recordOf('success 1.96.2')).toEqual({
    key: { source: 'main', requestId: 'chatcmpl-d580bb89-51d8-48a6-acd5-53deb7e671b1' },
    startedAtMs: Date.UTC(2026, 10, 21, 5, 2, 53, 695),
    endedAtMs: Date.UTC(2026, 10, 21, 5, 2, 53, 707),
    payers: {
      user: 'alice',
      api_key: 'ffbc86ab5d0c7d3fd5ad3bb2e4ac5a2d6c5ad0a3a0b4b6d1f2c8c1f4e8a7d901',
      team_id: '',
      end_user: 'end-1',
    },
    model: 'fast',
    promptTokens: 10n,
    cachedPromptTokens: 0n,
    completionTokens: 20n,
    spend: '0.0000135',
  })
})

test.each(['success 1.81.16', 'success 1.104.2'])('%s is the same record', (name) => {
  expect(recordOf(name)).toEqual(recordOf('success 1.96.2'))
})

describe('what counts', () => {
  test.each([
    // name, excluded, prompt, cached, completion, model
    ['cache hit', undefined, 10, 0, 20, 'fast'],
    ['stream', undefined, 120, 0, 45, 'fast'],
    ['embedding', undefined, 10, 0, 0, 'embed'],
    ['failure 1.96.2', 'failure', 0, 0, 0, 'broken'],
    ['failure 1.104.2', 'failure', 9, 0, 0, 'broken'],
    ['refused management call', 'failure', 0, 0, 0, ''],
    ['client left', undefined, 15, 0, 49, 'fast'],
    ['health check', 'health_check', 10, 0, 20, 'fast'],
    ['key without owner', undefined, 10, 0, 20, 'fast'],
    ['master key 1.96.2', undefined, 10, 0, 20, 'fast'],
    ['old row', undefined, 10, 0, 20, 'openai/gpt-4o-mini'],
    ['text metadata', undefined, 10, 6, 20, 'fast'],
    ['no metadata', undefined, 10, 0, 20, 'fast'],
    ['OpenAI cached prompt', undefined, 2000, 1536, 9, 'fast'],
    ['Anthropic cached prompt', undefined, 900, 800, 9, 'claude'],
    ['Anthropic cache beside the prompt', undefined, 12, 12, 9, 'claude'],
    ['other status', 'status_pending', 10, 0, 20, 'fast'],
  ])('%s: excluded %s, tokens %i (%i cached) and %i, model %s', (name, ...expected) => {
    const record = recordOf(name)
    const tokens = [record.promptTokens, record.cachedPromptTokens, record.completionTokens]
    expect([record.excluded, ...tokens.map(Number), record.model]).toEqual(expected)
  })

  test('cache hits and abandoned streams are left out where the settings say so', () => {
    const strict: CountingRules = {
      ...{ cacheHits: 'exclude', clientDisconnects: 'exclude', failuresWithUsage: 'exclude' },
    }
    expect(recordOf('cache hit', strict).excluded).toBe('cache_hit')
    expect(recordOf('client left', strict).excluded).toBe('client_disconnected')
    expect(recordOf('stream', strict).excluded).toBeUndefined()
  })

  test('what has no owner has an empty payer, and the master key its own', () => {
    expect(recordOf('key without owner').payers.user).toBe('')
    expect(recordOf('old row').payers).toMatchObject({ user: 'bob', team_id: '', end_user: '' })
    expect(recordOf('master key 1.96.2').payers.user).toBe('default_user_id')
  })
})

test.each([
  ['whole second', Date.UTC(2026, 10, 21, 5, 2, 53), Date.UTC(2026, 10, 21, 5, 2, 54)],
  ['microseconds', Date.UTC(2026, 10, 21, 5, 2, 53, 849), Date.UTC(2026, 10, 21, 5, 2, 54, 100)],
])('reads the times of a row with %s', (name, startedAtMs, endedAtMs) => {
  expect(recordOf(name)).toMatchObject({ startedAtMs, endedAtMs })
})

describe('what does not fit is a reject with its reason', () => {
  const good = rows['success 1.96.2'] as Record<string, unknown>
  const id = good.request_id as string
  test.each<[string, unknown, RegExp]>([
    ['text in place of a count', { prompt_tokens: '10' }, /prompt_tokens/],
    ['a negative count', { completion_tokens: -1 }, /completion_tokens/],
    ['half a token', { prompt_tokens: 0.5 }, /prompt_tokens/],
    ['no count', { prompt_tokens: null }, /prompt_tokens/],
    ['no time', { startTime: null }, /startTime/],
    ['a time without an offset', { startTime: '2026-11-21T05:02:53.695' }, /no UTC time/],
    ['a day that is none', { startTime: '2026-13-41T05:02:53Z' }, /startTime/],
    ['a time before 1970', { startTime: '1969-12-31T23:59:59Z' }, /since 1970/],
    ['metadata that is no JSON', { metadata: '{"usage_object":' }, /metadata/],
    ['more tokens than LiteLLM can keep', { prompt_tokens: 2 ** 31 }, /prompt_tokens/],
    ['a model of 70 000 letters', { model_group: 'm'.repeat(70_000) }, /model name is too long/],
    ['a user that is a number', { user: 7 }, /user/],
  ])('%s', (_, change, reason) => {
    const parsed = parseSpendLog('main', { ...good, ...(change as object) }, COUNT_ALL)
    expect(parsed).toEqual({
      ok: false,
      reject: { source: 'main', requestId: id, reason: expect.stringMatching(reason) },
    })
  })

  test.each([null, 7, 'row', [], {}, { ...good, request_id: 9 }, { ...good, request_id: null }])(
    'row %# has no id, and is told from others by its hash',
    (row) => {
      const parsed = parseSpendLog('main', row, COUNT_ALL)
      expect(parsed).toMatchObject({
        ok: false,
        reject: { requestId: expect.stringMatching(/^0x[0-9a-f]{64}$/) },
      })
      expect(parseSpendLog('main', row, COUNT_ALL)).toEqual(parsed)
      expect(parseSpendLog('main', ['another'], COUNT_ALL)).not.toEqual(parsed)
    },
  )
})

test('cached prompt tokens are read under the name that each provider gives them', () => {
  const usages = [
    { prompt_tokens_details: { cached_tokens: 6 } },
    { cache_read_input_tokens: 6, cache_creation_input_tokens: 3 },
    { prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 },
    { cache_read_input_tokens: 6, prompt_tokens_details: { cached_tokens: 6 } },
  ]
  for (const usage_object of usages) {
    const row = { ...rows['success 1.96.2'], metadata: { usage_object } }
    const parsed = parseSpendLog('main', row, COUNT_ALL)
    expect(parsed.ok && [parsed.record.promptTokens, parsed.record.cachedPromptTokens]).toEqual([
      10n,
      6n,
    ])
  }
})

test('an endless end user is cut, so that no client can make its own rows unreadable', () => {
  const parsed = parseSpendLog('main', { ...rows.stream, end_user: 'x'.repeat(9_999) }, COUNT_ALL)
  expect(parsed.ok && parsed.record.payers.end_user).toHaveLength(1_024)
  const halved = parseSpendLog(
    'main',
    { ...rows.stream, end_user: `${'x'.repeat(1_023)}😀` },
    COUNT_ALL,
  )
  expect(halved.ok && halved.record.payers.end_user).toBe('x'.repeat(1_023))
})

test('prompts, answers and error texts go no further', () => {
  const all = Object.keys(rows).map((name) => recordOf(name))
  const kept = JSON.stringify(all, (_, value) => (typeof value === 'bigint' ? `${value}` : value))
  expect(JSON.stringify(rows)).toContain('SECRET')
  expect(kept).not.toMatch(/SECRET|proxy_server/)
})

function cached(tokens: unknown) {
  return { prompt_tokens_details: { cached_tokens: tokens } }
}

// A client can put what it likes into a request's metadata, and LiteLLM copies some of it.
describe('what a client writes into metadata', () => {
  const good = rows['success 1.96.2'] as Record<string, unknown>
  const record = (change: object) => {
    const parsed = parseSpendLog('main', { ...good, ...change }, COUNT_ALL)
    return parsed.ok ? parsed.record : undefined
  }

  test.each([
    ['usage_object', { usage_object: 'x' }],
    ['error_information', { error_information: 'x' }],
    ['cached tokens', { usage_object: cached('6') }],
  ])('%s of another shape does not turn the row into a reject', (_, metadata) => {
    expect(record({ metadata })).toMatchObject({ cachedPromptTokens: 0n })
    expect(record({ metadata })?.excluded).toBeUndefined()
  })

  // LiteLLM takes its own column from the request's metadata: `status: failure` there makes the row
  // one. What the provider answered stays in the row, and that no client can write.
  test.each<[string, object, string]>([
    ['nothing was answered', { completion_tokens: 0, spend: 0 }, 'failure'],
    ['an estimate of the prompt', { prompt_tokens: 9, completion_tokens: 0, spend: 0 }, 'failure'],
    ['it cost money', { completion_tokens: 0, spend: 0.5 }, 'held_failure'],
    ['it cost money, as text', { completion_tokens: 0, spend: '1e-7' }, 'held_failure'],
    ['an answer of a model without a price', { completion_tokens: 7, spend: 0 }, 'held_failure'],
    [
      'an embedding of a model without a price',
      {
        ...{ completion_tokens: 0, spend: 0 },
        metadata: { additional_usage_values: { prompt_tokens_details: null } },
      },
      'held_failure',
    ],
  ])('a failure in which %s is %s', (_, change, excluded) => {
    expect(record({ metadata: {}, status: 'failure', ...change })?.excluded).toBe(excluded)
  })

  test('a failure with usage counts or not where the settings say so', () => {
    const row = { ...good, status: 'failure', spend: 1 }
    const excluded = (failuresWithUsage: CountingRules['failuresWithUsage']) => {
      const parsed = parseSpendLog('main', row, { ...COUNT_ALL, failuresWithUsage })
      return parsed.ok ? parsed.record.excluded : 'reject'
    }
    expect(excluded('count')).toBeUndefined()
    expect(excluded('exclude')).toBe('failure_with_usage')
  })

  test.each([...['failure', 'canceled', 'health_check', '', null, 0, ['failure']]])(
    'the row’s own status is judged, whatever metadata.status says: %j',
    (status) => {
      expect(record({ metadata: { status } })).toMatchObject({ promptTokens: 10n })
      expect(record({ metadata: { status } })?.excluded).toBeUndefined()
      expect(record({ metadata: JSON.stringify({ status }) })?.excluded).toBeUndefined()
    },
  )

  test.each<[string, object]>([
    ['the name of a health check as its end user', { end_user: 'litellm-internal-health-check' }],
    ['a tag', { request_tags: ['litellm-internal-health-check', 'cache_hit:True'] }],
    ['a call id', { metadata: { litellm_call_id: 'x' }, session_id: 'x' }],
    ['another owner in its metadata', { metadata: { user_api_key_user_id: 'bob', user: 'bob' } }],
    ['a hit of the cache in its metadata', { metadata: { cache_hit: 'True' } }],
    ['tokens of its own in its metadata', { metadata: { prompt_tokens: 0, usage: 0 } }],
    ['an empty call id', { request_id: '' }],
  ])('%s hides nothing, and changes no payer', (_, change) => {
    const strict: CountingRules = {
      ...{ cacheHits: 'exclude', clientDisconnects: 'exclude', failuresWithUsage: 'exclude' },
    }
    const parsed = parseSpendLog('main', { ...good, ...change }, strict)
    expect(parsed).toMatchObject({
      ok: true,
      record: { promptTokens: 10n, completionTokens: 20n, payers: { user: 'alice' } },
    })
    expect(parsed.ok && parsed.record.excluded).toBeUndefined()
  })
})

test('streams that the client left wait for somebody where the settings say so', () => {
  const rules: CountingRules = { ...COUNT_ALL, clientDisconnects: 'hold' }
  expect(recordOf('client left', rules).excluded).toBe('held_client_disconnected')
})
