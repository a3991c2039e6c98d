import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface GatewayCall {
  readonly user: string
  readonly model: string
  readonly atMs: number
  readonly promptTokens: number
  readonly cachedPromptTokens?: number
  readonly completionTokens: number
}

export interface GatewayOptions {
  /** The gateway's clock in UTC milliseconds; the machine's unless given. */
  readonly nowMs?: () => number
  /** Whether `end_date` is the last day of the answer, or the day after it. */
  readonly endDate?: 'inclusive' | 'exclusive'
  /** `input_tokens` for `prompt_tokens`, and so on, under `results`. */
  readonly isTerse?: boolean
}

export type GatewayFault = 'unreachable' | 'keyGone' | 'wrongRole' | 'noDatabase' | 'truncated'

export interface Gateway {
  readonly url: string
  readonly key: string
  add(calls: readonly GatewayCall[]): void
  /** Loses what it counted before this instant, as after a restore. */
  forgetBefore(ms: number): void
  /** An extra row in every answer, whatever it is. */
  smuggle(row: unknown): void
  /** Misbehaves until told otherwise. */
  setFault(fault: GatewayFault | undefined): void
  /** Paths and queries, oldest first. */
  requests(): readonly string[]
  stop(): Promise<void>
}

const KEY = 'gw-viewer-key-of-the-local-network'
const DAY_MS = 86_400_000

/** A gateway that shows sums by user and model, at both endpoints that such gateways have. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const { nowMs = Date.now, endDate = 'inclusive', isTerse = false } = options
  let calls: GatewayCall[] = []
  let fault: GatewayFault | undefined
  const smuggled: unknown[] = []
  const requests: string[] = []

  const answer = (url: URL): { status: number; body: unknown } => {
    const range = rangeOf(url, endDate)
    if (range === undefined) return { status: 404, body: { error: 'not found' } }
    if (Number.isNaN(range.fromMs + range.untilMs)) return { status: 400, body: { error: 'dates' } }
    const inside = calls.filter(({ atMs }) => atMs >= range.fromMs && atMs < range.untilMs)
    const rows = [...sumsOf(inside).map((sum) => (isTerse ? terse(sum) : plain(sum))), ...smuggled]
    return { status: 200, body: isTerse ? { results: rows } : { data: rows } }
  }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'http://gateway')
    requests.push(`${url.pathname}${url.search}`)
    if (fault === 'unreachable') return void request.socket.destroy()
    const isKnown = request.headers.authorization === `Bearer ${KEY}` && fault !== 'keyGone'
    const { status, body } = !isKnown
      ? { status: 401, body: { error: 'no such key' } }
      : fault === 'wrongRole'
        ? { status: 403, body: { error: 'not for you' } }
        : fault === 'noDatabase'
          ? { status: 501, body: { error: 'usage is not kept' } }
          : answer(url)
    const text = JSON.stringify(body)
    response.writeHead(status, {
      'content-type': 'application/json',
      date: new Date(nowMs()).toUTCString(),
    })
    response.end(fault === 'truncated' ? text.slice(0, text.length / 2) : text)
  }

  const server = createServer(handle)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    key: KEY,
    add: (more) => void calls.push(...more),
    forgetBefore: (ms) => {
      calls = calls.filter(({ atMs }) => atMs >= ms)
    },
    smuggle: (row) => void smuggled.push(row),
    setFault: (next) => {
      fault = next
    },
    requests: () => requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Range {
  readonly fromMs: number
  readonly untilMs: number
}

function rangeOf(url: URL, endDate: 'inclusive' | 'exclusive'): Range | undefined {
  const ms = (name: string) => Date.parse(url.searchParams.get(name) ?? '')
  if (url.pathname === '/analytics/usage') return { fromMs: ms('since'), untilMs: ms('until') }
  if (url.pathname !== '/usage') return undefined
  const isGrouped = url.searchParams.get('group_by') === 'user_id,model'
  const untilMs = ms('end_date') + (endDate === 'inclusive' ? DAY_MS : 0)
  return { fromMs: isGrouped ? ms('start_date') : Number.NaN, untilMs }
}

interface Sum {
  readonly user: string
  readonly model: string
  prompt: number
  cached: number
  completion: number
  requests: number
}

function sumsOf(calls: readonly GatewayCall[]): Sum[] {
  const sums = new Map<string, Sum>()
  for (const { user, model, promptTokens, cachedPromptTokens = 0, completionTokens } of calls) {
    const group = JSON.stringify([user, model])
    const sum = sums.get(group) ?? { user, model, prompt: 0, cached: 0, completion: 0, requests: 0 }
    sum.prompt += promptTokens
    sum.cached += cachedPromptTokens
    sum.completion += completionTokens
    sum.requests += 1
    sums.set(group, sum)
  }
  return [...sums.values()]
}

const plain = ({ user, model, prompt, cached, completion, requests }: Sum) => ({
  ...{ user_id: user, model, requests, total_tokens: prompt + completion },
  ...{ prompt_tokens: prompt, completion_tokens: completion, cached_prompt_tokens: cached },
})

const terse = ({ user, model, prompt, cached, completion, requests }: Sum) => ({
  ...{ user_id: user, model, num_model_requests: requests },
  ...{ input_tokens: prompt, output_tokens: completion, input_cached_tokens: cached },
})
