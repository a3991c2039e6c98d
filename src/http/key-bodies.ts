import { canonicalAccount } from '../domain/ids.js'
import { type KeyLimits, parseDollars } from '../domain/key-limits.js'

/** What was sent, read; or what is wrong with it, in words for whoever sent it. */
export type Read<Value> = { readonly value: Value } | { readonly problem: string }

type Body = Readonly<Record<string, unknown>>

const LIMIT_FIELDS = ['maxBudget', 'budgetDuration', 'rpmLimit', 'tpmLimit', 'models']
const REASON_CHARACTERS_MAX = 200

export interface CreateBody {
  readonly account: ReturnType<typeof canonicalAccount>
  readonly name: string
  readonly userId: string
  readonly limits: Partial<KeyLimits>
}

/** `{ account?, name, userId, …limits, reason? }` */
export function createBody(body: unknown): Read<CreateBody> {
  const fields = fieldsOf(body, ['account', 'name', 'userId', ...LIMIT_FIELDS])
  if ('problem' in fields) return fields
  const { account, name, userId } = fields.value
  const number = typeof account === 'string' ? canonicalAccount(account) : undefined
  if (account !== undefined && number === undefined) return wrong('account', 'a number as text')
  if (typeof name !== 'string') return wrong('name', 'a text')
  if (typeof userId !== 'string') return wrong('userId', 'a text')
  const limits = limitsOf(fields.value)
  if ('problem' in limits) return limits
  return { value: { account: number, name, userId, limits: limits.value } }
}

/** `{ …limits, reason? }`; what is absent stays as it is. */
export function changeBody(body: unknown): Read<Partial<KeyLimits>> {
  const fields = fieldsOf(body, LIMIT_FIELDS)
  return 'problem' in fields ? fields : limitsOf(fields.value)
}

/** `{ reason? }`, or nothing at all. */
export function reasonOf(body: unknown): Read<string | undefined> {
  if (body === undefined || body === null) return { value: undefined }
  const fields = fieldsOf(body, [...LIMIT_FIELDS, 'account', 'name', 'userId'])
  if ('problem' in fields) return fields
  const { reason } = fields.value
  if (reason === undefined) return { value: undefined }
  const isText = typeof reason === 'string' && reason.trim() !== '' && !/\p{Cc}/u.test(reason)
  if (isText && reason.length <= REASON_CHARACTERS_MAX) return { value: reason }
  return wrong('reason', `one line of up to ${REASON_CHARACTERS_MAX} characters`)
}

/** A field that is none of ours is a mistake: a limit that was misspelt would not be one. */
function fieldsOf(body: unknown, known: readonly string[]): Read<Body> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return { problem: 'send a JSON object' }
  }
  const unknown = Object.keys(body).find((name) => name !== 'reason' && !known.includes(name))
  if (unknown === undefined) return { value: body as Body }
  return { problem: `a field that is not known here; there are ${known.join(', ')}, reason` }
}

function limitsOf(body: Body): Read<Partial<KeyLimits>> {
  const { maxBudget, budgetDuration, rpmLimit, tpmLimit, models } = body
  const budget = typeof maxBudget === 'string' ? parseDollars(maxBudget) : maxBudget
  if (maxBudget !== undefined && typeof budget !== 'bigint' && budget !== null) {
    return wrong('maxBudget', 'dollars as text, such as "12.5", or null')
  }
  if (!isAbsentOr(budgetDuration, 'string'))
    return wrong('budgetDuration', 'such as "30d", or null')
  if (!isAbsentOr(rpmLimit, 'number')) return wrong('rpmLimit', 'a number, or null')
  if (!isAbsentOr(tpmLimit, 'number')) return wrong('tpmLimit', 'a number, or null')
  const isList = Array.isArray(models) && models.every((model) => typeof model === 'string')
  if (models !== undefined && !isList) return wrong('models', 'a list of texts')
  const limits = { maxBudget: budget, budgetDuration, rpmLimit, tpmLimit, models }
  const said = Object.entries(limits).filter(([, value]) => value !== undefined)
  // Each was looked at above; what they may be is looked at where they are used.
  return { value: Object.fromEntries(said) as Partial<KeyLimits> }
}

function isAbsentOr(value: unknown, type: 'string' | 'number'): boolean {
  return value === undefined || value === null || typeof value === type
}

function wrong(field: string, expected: string): { readonly problem: string } {
  return { problem: `${field}: expected ${expected}` }
}
