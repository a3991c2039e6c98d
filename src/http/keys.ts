import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Caller, sees } from '../domain/access.js'
import { TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { isKeyId, type KeyId } from '../domain/virtual-key.js'
import { blockKey, deleteKey, unblockKey, updateKey } from '../pipeline/change-key.js'
import type { KeyOrder, KeysParts } from '../pipeline/key-orders.js'
import { createKey, followed, type MadeKey, rotateKey } from '../pipeline/make-key.js'
import { askedAccount, PAGE_MAX } from '../pipeline/shown.js'
import { shownKey, shownKeys, shownSync } from '../pipeline/shown-keys.js'
import type { StoredKey } from '../ports/keys.js'
import { answer, bad, limitOf, notFound } from './answers.js'
import { callerOf, tooMany } from './guard.js'
import { changeBody, createBody, type Read, reasonOf } from './key-bodies.js'
import { RateLimit } from './rate-limit.js'

export type KeyRoutesParts = KeysParts & {
  /** Ends what is under way when the process ends. */
  readonly signal: AbortSignal
}

/** How an order that is refused is answered, by its code. 422 for what is not among them. */
const STATUS_OF: Readonly<Record<string, number>> = {
  above_ceiling: 403,
  account_blocked: 403,
  too_many_keys: 403,
  key_blocked: 403,
  key_exists: 409,
  key_alias_taken: 409,
  not_held: 409,
  key_took_too_long: 503,
  made_too_often: 429,
}

/** By customers, for one account: each is kept for ever in the operators' log. */
const ORDERS_A_MINUTE = 20

/**
 * Keys of the gateway, as JSON: see ShownKey. `read` sees, `execute` acts for accounts of the token
 * and stays below their ceilings, `configure` gives what it likes. The key itself is in the answer to
 * its making and nowhere else.
 *
 * GET    /v1/keys?account=&after=&limit=   { items, next }
 * GET    /v1/keys/sync                     how far the gateway follows: ShownSync
 * GET    /v1/keys/<id>
 * POST   /v1/keys                          { account?, name, userId, …limits }: 201, with `key`
 * PATCH  /v1/keys/<id>                     { …limits }
 * DELETE /v1/keys/<id>
 * POST   /v1/keys/<id>/rotate              201, with `key`: another in the place of this one
 * POST   /v1/keys/<id>/block, /unblock     by the caller; other reasons stay
 * POST   /v1/keys/<id>/sync                compares with the gateway now
 *
 * Every body may have a `reason`, for the operators' log. 403 what is not the caller's to order ·
 * 404 what is not there, or another's; `no_budgets` where the settings manage no keys · 409 ·
 * 422 what makes no sense · 429 too often for one account · 503 the gateway does not answer
 */
export function addKeys(server: FastifyInstance, parts: KeyRoutesParts | undefined): void {
  const read = { config: { access: { role: 'read', accounts: 'own' } } } as const
  const execute = { config: { access: { role: 'execute', accounts: 'own' } } } as const
  if (parts === undefined) {
    addAbsence(server, { read, execute })
    return
  }
  const { store, signal } = parts
  const orders = new RateLimit(ORDERS_A_MINUTE, parts.clock)

  server.get('/v1/keys', read, async (request, reply) => {
    const { account, after, limit } = request.query as Query
    const { scope } = callerOf(request)
    const asked = account === undefined ? undefined : askedAccount(account)
    if (account !== undefined && asked === undefined) return bad(reply, 'account: a number')
    if (asked !== undefined && !sees({ scope }, asked)) return notFound(reply)
    if (after !== undefined && !isKeyId(after)) return bad(reply, 'after: the id of a key')
    const count = limitOf(limit)
    if (count === undefined) return bad(reply, `limit: 1 to ${PAGE_MAX}`)
    const accounts = asked === undefined ? scope : [asked]
    return shownKeys({ accounts, after, limit: count }, store)
  })

  server.get('/v1/keys/sync', read, async (request) => shownSync(callerOf(request).scope, store))

  server.get('/v1/keys/:id', read, async (request, reply) => {
    const key = await ownKey(request, parts)
    return key === undefined ? notFound(reply) : shown(key)
  })

  server.post('/v1/keys', execute, async (request, reply) => {
    const body = createBody(request.body)
    if ('problem' in body) return nonsense(reply, body.problem)
    const { account = onlyAccount(callerOf(request)), ...wish } = body.value
    if (account === undefined) return nonsense(reply, 'account: say which, as a number in text')
    if (!sees(callerOf(request), account)) return notFound(reply)
    return ordered(request, reply, account, async (order) =>
      made(reply, await createKey(parts, { ...wish, account }, order, signal)),
    )
  })

  server.patch('/v1/keys/:id', execute, async (request, reply) => {
    const body = changeBody(request.body)
    if ('problem' in body) return nonsense(reply, body.problem)
    const change = (id: KeyId, order: KeyOrder) =>
      updateKey(parts, { id, wish: body.value }, order, signal)
    return about(request, reply, change)
  })

  server.delete('/v1/keys/:id', execute, (request, reply) =>
    about(request, reply, (id, order) => deleteKey(parts, id, order, signal)),
  )

  server.post('/v1/keys/:id/rotate', execute, async (request, reply) => {
    const key = await ownKey(request, parts)
    if (key === undefined) return notFound(reply)
    return ordered(request, reply, key.account, async (order) =>
      made(reply, await rotateKey(parts, key.id, order, signal)),
    )
  })

  for (const [verb, change] of [
    ['block', blockKey],
    ['unblock', unblockKey],
  ] as const) {
    server.post(`/v1/keys/:id/${verb}`, execute, (request, reply) =>
      about(request, reply, (id, order) => change(parts, id, order, signal)),
    )
  }

  server.post('/v1/keys/:id/sync', execute, async (request, reply) => {
    const key = await ownKey(request, parts)
    if (key === undefined) return notFound(reply)
    return ordered(request, reply, key.account, async () =>
      shown(await followed(parts, key, signal)),
    )
  })

  const shown = async (key: StoredKey) => shownKey(key, await store.holds.of(key.account))

  const made = async (reply: FastifyReply, { key, secret }: MadeKey) =>
    reply.code(201).send({ key: secret, ...(await shown(key)) })

  /** An order about one key of the caller's. */
  const about = async (
    request: FastifyRequest,
    reply: FastifyReply,
    change: (id: KeyId, order: KeyOrder) => Promise<StoredKey>,
  ) => {
    const key = await ownKey(request, parts)
    if (key === undefined) return notFound(reply)
    return ordered(request, reply, key.account, async (order) => shown(await change(key.id, order)))
  }

  const ordered = async (
    request: FastifyRequest,
    reply: FastifyReply,
    account: AccountNumber,
    work: (order: KeyOrder) => Promise<unknown>,
  ): Promise<unknown> => {
    const reason: Read<string | undefined> = reasonOf(request.body)
    if ('problem' in reason) return nonsense(reply, reason.problem)
    const { name, role } = callerOf(request)
    const isCustomer = role !== 'configure'
    const wait = isCustomer ? orders.take(`${account}`) : undefined
    if (wait !== undefined) return tooMany(reply, wait)
    try {
      return await work({ by: name, reason: reason.value ?? 'over HTTP', isCustomer })
    } catch (error) {
      if (!(error instanceof TerminalError)) throw error
      if (error.code === 'no_key') return notFound(reply)
      return answer(reply, STATUS_OF[error.code] ?? 422, error.code, error.message)
    }
  }
}

/** Says why there is nothing here, to whoever may ask at all. */
function addAbsence(
  server: FastifyInstance,
  { read, execute }: { readonly read: object; readonly execute: object },
): void {
  const say = async (_request: FastifyRequest, reply: FastifyReply) =>
    answer(reply, 404, 'no_budgets', 'flowmeter.config.json has no `budgets`: no keys are managed')
  for (const url of ['/v1/keys', '/v1/keys/*']) {
    server.route({ ...read, method: ['GET'], url, handler: say })
    server.route({ ...execute, method: ['POST', 'PATCH', 'DELETE'], url, handler: say })
  }
}

type Query = Readonly<Partial<Record<'account' | 'after' | 'limit', string>>>

/** Undefined for one that is not there, not the caller's, or deleted: nobody learns which. */
async function ownKey(
  request: FastifyRequest,
  { store }: KeysParts,
): Promise<StoredKey | undefined> {
  const { id } = request.params as { readonly id: string }
  const key = isKeyId(id) ? await store.keys.get(id) : undefined
  if (key === undefined || !sees(callerOf(request), key.account)) return undefined
  return key.state === 'wanted' ? key : undefined
}

/** Where a token is for one account, that is the account meant. */
function onlyAccount({ scope }: Caller): AccountNumber | undefined {
  return scope !== 'all' && scope.length === 1 ? scope[0] : undefined
}

function nonsense(reply: FastifyReply, message: string): FastifyReply {
  return answer(reply, 422, 'bad_key', message)
}
