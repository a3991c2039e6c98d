import { createHash } from 'node:crypto'
import {
  type Answer,
  detailText,
  keyNotFound,
  ok,
  proxyError,
  Refusal,
  roleDenied,
} from './answers.js'
import type { Caller } from './auth.js'
import type { Random } from './random.js'
import type { LitellmVersion } from './versions.js'
import { tokenOf, type VirtualKey, type VirtualKeys } from './virtual-keys.js'

/** What the routes of keys stand on. */
export interface KeyRoutesParts {
  readonly keys: VirtualKeys
  readonly random: Random
  readonly version: LitellmVersion
  readonly nowMs: () => number
}

/** One request to them, its caller known. */
export interface KeyRequest {
  readonly method: string
  readonly url: URL
  /** Undefined where none was sent, or none that is a JSON object. */
  readonly body: Readonly<Record<string, unknown>> | undefined
  readonly caller: Caller
  /** Which of the proxies on the database was asked. */
  readonly replica: number
}

const LIST_SIZE_MAX = 100
const SETTABLE = [
  ...['key_alias', 'user_id', 'team_id', 'models', 'max_budget', 'soft_budget', 'budget_id'],
  ...['budget_duration', 'rpm_limit', 'tpm_limit', 'max_parallel_requests', 'spend', 'blocked'],
  ...['metadata', 'key_type'],
] as const

/** `/key/*` as recorded of the genuine proxy. Undefined for a path that is none of them. */
export function answerKeyRoute(parts: KeyRoutesParts, asked: KeyRequest): Answer | undefined {
  switch (`${asked.method} ${asked.url.pathname}`) {
    case 'POST /key/generate':
      return admin(asked, (body) => generate(parts, body))
    case 'POST /key/update':
      return admin(asked, (body) => update(parts, asked, body))
    case 'POST /key/delete':
      return admin(asked, (body) => remove(parts, asked, body))
    case 'POST /key/block':
      return setBlocked(parts, asked, true)
    case 'POST /key/unblock':
      return setBlocked(parts, asked, false)
    case 'GET /key/info':
      return info(parts, asked)
    case 'GET /key/list':
      return list(parts, asked)
    default:
      return undefined
  }
}

/** Routes that only an admin may use. A viewer and a user are refused in different words. */
function admin(
  { caller, url, body }: KeyRequest,
  answer: (body: Readonly<Record<string, unknown>>) => Answer,
): Answer {
  if (caller.role !== 'proxy_admin') throw new Refusal(denied(caller, url.pathname))
  if (body === undefined) return missingBody
  return answer(body)
}

function denied(caller: Caller, route: string): Answer {
  if (caller.role !== 'proxy_admin_viewer') return roleDenied(route, caller.role)
  const words = `user not allowed to access this route, role= ${caller.role}. Trying to access: `
  return proxyError(403, 'auth_error', `Authentication Error, ${words}${route}`)
}

const missingBody: Answer = {
  status: 422,
  body: { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] },
}

function generate(
  { keys, random, nowMs }: KeyRoutesParts,
  body: Readonly<Record<string, unknown>>,
) {
  const alias = typeof body.key_alias === 'string' ? body.key_alias : null
  if (alias !== null && keys.all().some(({ key_alias }) => key_alias === alias)) {
    const words = `Key with alias '${alias}' already exists. Unique key aliases across all keys are required.`
    return proxyError(400, 'bad_request_error', words, 'key_alias')
  }
  const secret = typeof body.key === 'string' ? body.key : `sk-${newSecret(random)}`
  const now = new Date(nowMs()).toISOString()
  const key: VirtualKey = {
    ...BLANK,
    ...settableOf(body),
    token: tokenOf(secret),
    key_name: `sk-...${secret.slice(-4)}`,
    budget_reset_at: resetAt(body.budget_duration, nowMs()),
    created_at: now,
    updated_at: now,
  }
  keys.put(key)
  // What an admin gets to see once: the answers to come have the hash in its place.
  return ok({ ...key, key: secret, token_id: key.token })
}

const BLANK: Omit<VirtualKey, 'token' | 'key_name' | 'created_at' | 'updated_at'> = {
  key_alias: null,
  user_id: null,
  team_id: null,
  models: [],
  spend: 0,
  max_budget: null,
  soft_budget: null,
  budget_duration: null,
  budget_reset_at: null,
  budget_id: null,
  rpm_limit: null,
  tpm_limit: null,
  max_parallel_requests: null,
  blocked: null,
  expires: null,
  key_type: 'default',
  metadata: {},
}

/** What was not sent stays; null clears. */
function settableOf(body: Readonly<Record<string, unknown>>): Partial<VirtualKey> {
  const sent = SETTABLE.filter((name) => name in body).map((name) => [name, body[name]])
  return Object.fromEntries(sent) as Partial<VirtualKey>
}

function update(
  { keys, nowMs }: KeyRoutesParts,
  { replica }: KeyRequest,
  body: Readonly<Record<string, unknown>>,
): Answer {
  if (typeof body.key !== 'string') return missingField('key')
  const before = keys.stored(tokenOf(body.key))
  if (before === undefined) return noSuchKey(body.key)
  const duration = body.budget_duration
  const key: VirtualKey = {
    ...before,
    ...settableOf(body),
    ...(duration === undefined ? {} : { budget_reset_at: resetAt(duration, nowMs()) }),
    updated_at: new Date(nowMs()).toISOString(),
  }
  keys.put(key)
  // Read in source: it evicts the hash of what was sent. Sent a hash, that is the hash of a hash,
  // and the object in memory lives on for its minute.
  keys.evict(createHash('sha256').update(body.key).digest('hex'), replica)
  return ok({ ...key, key: body.key })
}

function remove(
  { keys }: KeyRoutesParts,
  { replica }: KeyRequest,
  body: Readonly<Record<string, unknown>>,
): Answer {
  const named = Array.isArray(body.keys) ? body.keys.map(String) : []
  const aliases = Array.isArray(body.key_aliases) ? body.key_aliases.map(String) : []
  const aliased = keys.all().filter(({ key_alias }) => aliases.includes(key_alias ?? ''))
  const tokens = [...named.map(tokenOf), ...aliased.map(({ token }) => token)]
  if (tokens.length === 0) return missingField('keys')
  const known = tokens.filter((token) => keys.stored(token) !== undefined)
  if (known.length < tokens.length)
    return proxyError(404, 'not_found_error', 'No keys found', 'keys')
  for (const token of known) {
    keys.delete(token)
    keys.evict(token, replica)
  }
  return ok({ deleted_keys: [...named, ...aliased.map(({ token }) => token)] })
}

function setBlocked(parts: KeyRoutesParts, asked: KeyRequest, blocked: boolean): Answer {
  const { keys, version, nowMs } = parts
  const { caller, url, body, replica } = asked
  // Recorded: on 1.81 any user may block any key.
  const isAnybody = version === '1.81.16' && caller.role === 'internal_user'
  if (caller.role !== 'proxy_admin' && !isAnybody) throw new Refusal(denied(caller, url.pathname))
  if (body === undefined) return missingBody
  const sent = body.key
  if (typeof sent !== 'string') return missingField('key')
  if (!/^(sk-.+|[0-9a-f]{64})$/.test(sent)) {
    const words = 'Invalid key format. Key must start with `sk-` or be a 64 character hash.'
    return proxyError(400, 'bad_request_error', words, 'key')
  }
  const before = keys.stored(tokenOf(sent))
  if (before === undefined) return version === '1.81.16' ? keyNotFound(sent) : noSuchKey(sent)
  const key = { ...before, blocked, updated_at: new Date(nowMs()).toISOString() }
  keys.put(key)
  keys.evict(key.token, replica)
  return ok(key)
}

function info({ keys }: KeyRoutesParts, { caller, url }: KeyRequest): Answer {
  const sent = url.searchParams.get('key')
  if (sent === null) return missingField('key')
  const key = keys.stored(tokenOf(sent))
  if (key === undefined) return noSuchKey(sent)
  if (caller.role === 'internal_user' && key.user_id !== caller.userId) {
    return proxyError(403, 'auth_error', 'You are not allowed to access this key')
  }
  return ok({ key: key.token, info: { ...key, token: undefined } })
}

function list({ keys, version }: KeyRoutesParts, { caller, url }: KeyRequest): Answer {
  const params = url.searchParams
  const size = Number(params.get('size') ?? 10)
  const page = Number(params.get('page') ?? 1)
  if (!Number.isInteger(size) || size < 1 || size > LIST_SIZE_MAX)
    return badSize(params.get('size'))
  const userId = params.get('user_id')
  const isOther = userId !== null && userId !== caller.userId
  if (caller.role !== 'proxy_admin' && isOther && version !== '1.104.2') {
    return proxyError(403, 'auth_error', 'You are not authorized to check another users keys')
  }
  const alias = params.get('key_alias')
  const hash = params.get('key_hash')
  const found = keys
    .all()
    .filter((key) => userId === null || key.user_id === userId)
    .filter((key) => alias === null || key.key_alias === alias)
    .filter((key) => hash === null || key.token === hash)
    .filter((key) => caller.role !== 'internal_user' || key.user_id === caller.userId)
  const shown = found.slice((page - 1) * size, page * size)
  const isFull = params.get('return_full_object') === 'true'
  return ok({
    keys: isFull ? shown : shown.map(({ token }) => token),
    total_count: found.length,
    current_page: page,
    total_pages: Math.ceil(found.length / size),
  })
}

function badSize(input: string | null): Answer {
  const msg = `Input should be less than or equal to ${LIST_SIZE_MAX}`
  const detail = [{ type: 'less_than_equal', loc: ['query', 'size'], msg, input }]
  return { status: 422, body: { detail } }
}

function missingField(name: string): Answer {
  const detail = [{ type: 'missing', loc: ['body', name], msg: 'Field required', input: {} }]
  return { status: 422, body: { detail } }
}

function noSuchKey(sent: string): Answer {
  const shown = sent.startsWith('sk-') ? `sk-...${sent.slice(-4)}` : sent
  return detailText(404, `Key not found in database: ${shown}`)
}

/** `30d`, `12h` and the like from now on; undefined and null clear it. */
function resetAt(duration: unknown, nowMs: number): string | null {
  const [, count, unit] = /^(\d+)(s|m|h|d|mo)$/.exec(String(duration ?? '')) ?? []
  if (count === undefined || unit === undefined) return null
  const units: Readonly<Record<string, number>> = {
    s: 1_000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
    mo: 30 * 86_400_000,
  }
  return new Date(nowMs + Number(count) * (units[unit] ?? 0)).toISOString()
}

function newSecret(random: Random): string {
  return createHash('sha256').update(random.uuid()).digest('base64url').slice(0, 22)
}
