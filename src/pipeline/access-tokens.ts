import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Caller, type Role, type Scope, scopeText } from '../domain/access.js'
import { TerminalError } from '../domain/errors.js'
import type { AccessToken, AccessTokens } from '../ports/access-tokens.js'
import type { Clock } from '../ports/clock.js'
import type { Store } from '../ports/stores.js'
import { note } from './operator-log.js'
import type { Ordered } from './record-correction.js'

/** So that people and scanners of secrets know one when they see it. */
export const TOKEN_PREFIX = 'fm_'
const TOKEN = /^(fm_[0-9a-f]{12})_[A-Za-z0-9_-]{43}$/
const ID_BYTES = 6
const SECRET_BYTES = 32
const LABEL_MAX = 64
const ACCOUNTS_MAX = 1_000
const TOKENS_MAX = 100_000
/** How exact "last used" is: a write for every request would be too many. */
const USE_NOTED_MS = 60_000

export interface TokenWish {
  readonly label: string
  readonly role: Role
  readonly scope: Scope
  readonly expiresAtMs: number | undefined
}

/**
 * Makes a token. This is the only time that it is seen: the store keeps its SHA-256, which is
 * enough, since nobody guesses 32 random bytes.
 *
 * @throws TerminalError `bad_token` for a wish that makes no sense
 */
export function createToken(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  wish: TokenWish,
  ordered: Ordered,
): Promise<{ readonly id: string; readonly token: string }> {
  return store.transaction(async (stores) => {
    const known = await stores.accessTokens.list()
    const problem = problemOf(wish, known.length, clock.now())
    if (problem !== undefined) throw new TerminalError('bad_token', problem)
    const id = `${TOKEN_PREFIX}${randomBytes(ID_BYTES).toString('hex')}`
    const token = `${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
    await stores.accessTokens.add({ ...wish, id, hash: digest(token).toString('hex') })
    const after = await stores.accessTokens.find(id)
    await note(stores, 'tokens create', changed(id, undefined, after), ordered)
    return { id, token }
  })
}

/**
 * From its commit on the token lets nobody in.
 *
 * @throws TerminalError `no_token`, `revoked_before`
 */
export function revokeToken(store: Store, id: string, ordered: Ordered): Promise<void> {
  return store.transaction(async (stores) => {
    const before = await stores.accessTokens.find(id)
    if (before === undefined) {
      throw new TerminalError('no_token', `there is no token ${id}: see flowmeter tokens list`)
    }
    if (!(await stores.accessTokens.revoke(id))) {
      throw new TerminalError('revoked_before', `token ${id} is revoked already`)
    }
    const after = await stores.accessTokens.find(id)
    await note(stores, 'tokens revoke', changed(id, before, after), ordered)
  })
}

/**
 * Whose token this is; undefined for one that is unknown, expired or revoked, without saying which.
 * The digest is compared in constant time, and with something even where there is no such token.
 */
export async function recognise(
  token: string,
  { accessTokens, clock }: { readonly accessTokens: AccessTokens; readonly clock: Clock },
): Promise<Caller | undefined> {
  const [, id = ''] = TOKEN.exec(token) ?? []
  const stored = await accessTokens.find(id)
  const shown = digest(token)
  const kept = Buffer.from(stored?.hash ?? '00'.repeat(shown.length), 'hex')
  const isSame = timingSafeEqual(shown, kept)
  const nowMs = clock.now()
  if (stored === undefined || !isSame || !isInForce(stored, nowMs)) return undefined
  const { role, scope, label, lastUsedAtMs = 0 } = stored
  if (nowMs - lastUsedAtMs >= USE_NOTED_MS) await accessTokens.noteUse(id)
  return { name: `token ${id} (${label})`, role, scope, tokenId: id }
}

/** False from the instant on at which it expires. */
export function isInForce(
  { revokedAtMs, expiresAtMs }: Pick<AccessToken, 'revokedAtMs' | 'expiresAtMs'>,
  nowMs: number,
): boolean {
  return revokedAtMs === undefined && (expiresAtMs === undefined || nowMs < expiresAtMs)
}

function problemOf(
  { label, scope, role, expiresAtMs }: TokenWish,
  known: number,
  nowMs: number,
): string | undefined {
  if (label.length === 0 || label.length > LABEL_MAX || /\p{Cc}/u.test(label)) {
    return `the label has to be a text of 1 to ${LABEL_MAX} characters, on one line`
  }
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs) return 'it would have expired already'
  if (scope !== 'all' && (scope.length === 0 || scope.length > ACCOUNTS_MAX)) {
    return `name 1 to ${ACCOUNTS_MAX} accounts, or all of them`
  }
  if (role === 'configure' && scope !== 'all') {
    return 'what is configured belongs to all accounts: a token for some can read or execute'
  }
  return known < TOKENS_MAX ? undefined : `there are ${known} tokens: no more are made`
}

function changed(id: string, before: AccessToken | undefined, after: AccessToken | undefined) {
  return { token: id, before: stateText(before), after: stateText(after) }
}

/** Before and after as the log keeps them for ever: without the hash, which is of no use there. */
function stateText(token: AccessToken | undefined): string {
  if (token === undefined) return 'none'
  const { role, scope, label, expiresAtMs, revokedAtMs } = token
  const until = expiresAtMs === undefined ? '' : `, until ${new Date(expiresAtMs).toISOString()}`
  const state = revokedAtMs === undefined ? '' : ', revoked'
  return `${role} of ${scopeText(scope)}, "${label}"${until}${state}`
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
