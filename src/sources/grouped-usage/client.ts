import { RetryableError } from '../../domain/errors.js'
import { iso } from '../../domain/instant.js'
import { type HttpAnswer, HttpClient } from '../../runtime/http-client.js'
import type { GroupedUsageConfig } from './config.js'
import { type Bucket, rowsOf } from './parse.js'

const DAY_MS = 86_400_000

export interface Sums {
  readonly rows: readonly unknown[]
  /** The gateway's clock. */
  readonly nowMs: number
}

/** Both endpoints, each asked for one bucket at a time. Throws the codes of the port. */
export class GroupedUsageClient {
  readonly #config: GroupedUsageConfig
  readonly #http: HttpClient

  constructor(config: GroupedUsageConfig, apiKey: string) {
    this.#config = config
    this.#http = new HttpClient({
      baseUrl: config.apiUrl.replace(/\/+$/, ''),
      codePrefix: 'source',
      timeoutMs: config.requestTimeoutMs,
      responseBytesMax: config.responseBytesMax,
      headers: { authorization: `Bearer ${apiKey}` },
    })
  }

  async sums(bucket: Bucket, signal: AbortSignal): Promise<Sums> {
    const answer = await this.#http.request(this.#question(bucket), signal)
    if (answer.status !== 200) throw refusalOf(answer)
    const rows = rowsOf(answer.json())
    if (rows === undefined) {
      const what = 'the answer is no list of sums, or only the first page of one'
      throw new RetryableError('source_nonsense', what)
    }
    const nowMs = Date.parse(answer.headers.date ?? '')
    if (Number.isNaN(nowMs)) {
      throw new RetryableError('source_nonsense', 'the gateway sends no Date header')
    }
    return { rows, nowMs }
  }

  #question({ fromMs, untilMs }: Bucket) {
    if (this.#config.endpoint === 'analytics') {
      const query = { since: iso(fromMs), until: iso(untilMs) }
      return { path: '/analytics/usage', query }
    }
    const end_date = date(this.#config.endDate === 'inclusive' ? untilMs - DAY_MS : untilMs)
    const query = { start_date: date(fromMs), end_date, group_by: 'user_id,model' }
    return { path: '/usage', query }
  }
}

/** Of these gateways no more is known than HTTP. Their messages are not shown. */
function refusalOf({ status }: HttpAnswer): RetryableError {
  const error = (code: string, says: string) =>
    new RetryableError(`source_${code}`, `the gateway answered ${status}: ${says}`)
  if (status === 401) return error('refused', 'it refuses the key')
  if (status === 403) return error('role', 'the key may not read the usage of all users')
  if (status === 501) return error('no_database', 'it keeps no usage')
  if (status === 429 || status >= 500) return error('unreachable', 'it fails, or is busy')
  return error('nonsense', 'this is not how the endpoint answers')
}

function date(ms: number): string {
  return iso(ms).slice(0, 10)
}
