import { invalidQuery, proxyError, Refusal } from './answers.js'
import type { Condition } from './table.js'
import type { VersionTraits } from './versions.js'

/** The checked parameters of `/spend/logs/v2`. */
export interface SpendLogsQuery {
  readonly where: Condition
  readonly page: number
  readonly pageSize: number
  /** A column of ours and its direction. No tie-break: LiteLLM has none. */
  readonly sort: { readonly column: string; readonly direction: 'ASC' | 'DESC' }
}

const SORT_COLUMNS: Readonly<Record<string, string>> = {
  spend: 'spend',
  total_tokens: 'total_tokens',
  startTime: 'start_ms',
  endTime: 'end_ms',
  request_duration_ms: '(end_ms - start_ms)',
  model: 'model',
  ttft_ms: '(end_ms - start_ms)',
}

const FILTERS = [
  ...(['api_key', 'request_id', 'team_id', 'end_user', 'model'] as const),
  ...(['model_group', 'session_id'] as const),
] as const
const LATER_FILTERS: readonly string[] = ['model_group', 'session_id']

const DEFAULT_PAGE_SIZE = 50

/** Refuses what the proxy refuses; parameters that it does not know it ignores. */
export function spendLogsQuery(
  params: URLSearchParams,
  onlyUser: string | undefined,
  traits: VersionTraits,
): SpendLogsQuery {
  const page = whole(params, 'page', 1, 1, Number.MAX_SAFE_INTEGER)
  const pageSize = whole(params, 'page_size', DEFAULT_PAGE_SIZE, 1, traits.pageSizeMax)
  const start = params.get('start_date')
  const end = params.get('end_date')
  if (!start || !end) {
    throw new Refusal(proxyError(400, 'bad_request', 'Start date and end date are required'))
  }
  const conditions: Condition[] = [
    // Both ends included, in whole seconds, on a column of milliseconds.
    { sql: 'start_ms >= ? AND start_ms <= ?', values: [dateMs(start), dateMs(end)] },
    ...filters(params, traits),
  ]
  if (onlyUser !== undefined) conditions.push({ sql: 'user = ?', values: [onlyUser] })
  return { where: all(conditions), page, pageSize, sort: sortOf(params) }
}

/** Joins conditions; none of them means every row. */
export function all(conditions: readonly Condition[]): Condition {
  return {
    sql: ['1', ...conditions.map(({ sql }) => `(${sql})`)].join(' AND '),
    values: conditions.flatMap(({ values }) => values),
  }
}

/** `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, read as UTC. A bare date is its first second. */
function dateMs(text: string): number {
  const isDate = /^\d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$/.test(text)
  const ms = isDate ? Date.parse(`${text.length === 10 ? `${text} 00:00:00` : text}Z`) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  const message = `Invalid date format: ${text}. Expected: YYYY-MM-DD or YYYY-MM-DD HH:MM:SS`
  throw new Refusal(proxyError(400, 'internal_server_error', message))
}

function filters(params: URLSearchParams, traits: VersionTraits): Condition[] {
  const found: Condition[] = []
  for (const name of FILTERS) {
    const value = params.get(name)
    const isKnown = traits.hasLaterColumns || !LATER_FILTERS.includes(name)
    if (value !== null && isKnown) found.push({ sql: `${name} = ?`, values: [value] })
  }
  const user = params.get('user_id')
  if (user !== null) found.push({ sql: 'user = ?', values: [user] })
  const status = params.get('status_filter')
  if (status === 'success') found.push({ sql: "coalesce(status, 'success') = ?", values: [status] })
  else if (status !== null) found.push({ sql: 'status = ?', values: [status] })
  return found
}

function sortOf(params: URLSearchParams): SpendLogsQuery['sort'] {
  const by = params.get('sort_by') ?? 'startTime'
  const order = params.get('sort_order') ?? 'desc'
  const column = SORT_COLUMNS[by]
  if (column === undefined) throw new Refusal(badSort('sort_by', by))
  if (order !== 'asc' && order !== 'desc') throw new Refusal(badSort('sort_order', order))
  return { column, direction: order === 'asc' ? 'ASC' : 'DESC' }
}

function badSort(name: string, value: string) {
  return proxyError(400, 'bad_request', `Invalid ${name}: ${value}`)
}

function whole(
  params: URLSearchParams,
  name: string,
  without: number,
  least: number,
  most: number,
) {
  const text = params.get(name)
  if (text === null) return without
  if (!/^-?\d+$/.test(text)) {
    throw new Refusal(invalidQuery(name, 'int_parsing', 'Input should be a valid integer', text))
  }
  const value = Number(text)
  if (value < least) {
    const msg = `Input should be greater than or equal to ${least}`
    throw new Refusal(invalidQuery(name, 'greater_than_equal', msg, text))
  }
  if (value > most) {
    const msg = `Input should be less than or equal to ${most}`
    throw new Refusal(invalidQuery(name, 'less_than_equal', msg, text))
  }
  return value
}
