import type { FastifyInstance } from 'fastify'
import { readBatchName } from '../domain/ids.js'
import {
  askedAccount,
  PAGE_MAX,
  type ShownParts,
  SPANS,
  type Span,
  shownBatches,
  shownUsage,
  shownVault,
  shownVaults,
} from '../pipeline/shown.js'
import { type ShownBudgetsParts, shownRunway } from '../pipeline/shown-budgets.js'
import { shownKeys } from '../pipeline/shown-keys.js'
import type { Stores } from '../ports/stores.js'
import { bad, limitOf, notFound } from './answers.js'
import { callerOf } from './guard.js'

/** The same answer serves everybody for so long: the sums are the database's work. */
const KEPT_MS = 10_000
const KEPT_MAX = 64

export interface ViewsParts extends ShownParts {
  readonly stores: ShownParts['stores'] & ShownBudgetsParts['stores'] & Pick<Stores, 'keys'>
}

/**
 * What the page shows, as JSON. Money and large integers are decimal text, instants ISO 8601.
 *
 * GET /v1/usage/series?span=day|week|month[&account=]  tokens by time and model: ShownUsage
 * GET /v1/vaults?after=&limit=      vaults in order of their numbers: { items, next }
 * GET /v1/vaults/<account>          one of them, with its newest periods, its runway and its keys
 * GET /v1/batches?before=&limit=    newest first, with root, round and transactions: { items, next }
 *
 * A caller for some accounts gets those alone; 404 for others, 400 for what cannot be asked.
 */
export function addViews(server: FastifyInstance, parts: ViewsParts): void {
  const own = { config: { access: { role: 'read', accounts: 'own' } } } as const
  const all = { config: { access: { role: 'read', accounts: 'all' } } } as const
  const one = { config: { access: { role: 'read', accounts: { param: 'account' } } } } as const
  const kept = new Kept(parts.clock)

  server.get('/v1/usage/series', own, async (request, reply) => {
    const { span = 'day', account } = request.query as Query
    if (span === undefined || !Object.hasOwn(SPANS, span)) {
      return bad(reply, `span: ${Object.keys(SPANS).join(', ')}`)
    }
    const { scope } = callerOf(request)
    const asked = account === undefined ? undefined : askedAccount(account)
    if (account !== undefined && asked === undefined) return bad(reply, 'account: a number')
    if (asked !== undefined && scope !== 'all' && !scope.includes(asked)) return notFound(reply)
    const accounts = asked !== undefined ? [asked] : scope === 'all' ? undefined : scope
    return kept.get(`${span}/${accounts?.join() ?? ''}`, () =>
      shownUsage(span as Span, accounts, parts),
    )
  })

  server.get('/v1/vaults', own, async (request, reply) => {
    const { after, limit } = request.query as Query
    const from = after === undefined ? undefined : askedAccount(after)
    const count = limitOf(limit)
    if (after !== undefined && from === undefined) return bad(reply, 'after: an account number')
    if (count === undefined) return bad(reply, `limit: 1 to ${PAGE_MAX}`)
    const { scope } = callerOf(request)
    const among = scope === 'all' ? {} : { among: scope }
    return shownVaults({ after: from, limit: count, ...among }, parts)
  })

  server.get('/v1/vaults/:account', one, async (request, reply) => {
    const { account } = request.params as { readonly account: string }
    const asked = askedAccount(account)
    const vault = asked && (await shownVault(asked, parts))
    if (asked === undefined || vault === undefined) return notFound(reply)
    const runway = (await shownRunway(asked, parts)) ?? null
    const keys = await shownKeys({ accounts: [asked], limit: PAGE_MAX }, parts.stores)
    return { ...vault, runway, keys: keys.items }
  })

  server.get('/v1/batches', all, async (request, reply) => {
    const { before, limit } = request.query as Query
    const count = limitOf(limit)
    if (before !== undefined && readBatchName(before) === undefined)
      return bad(reply, 'before: a batch')
    if (count === undefined) return bad(reply, `limit: 1 to ${PAGE_MAX}`)
    return shownBatches(before, count, parts)
  })
}

type Query = Readonly<Partial<Record<'span' | 'account' | 'after' | 'before' | 'limit', string>>>

/** A parameter that comes twice is an array, and no number. */
/** The newest answers, by what was asked; asking many different things makes room. */
class Kept {
  readonly #clock: ShownParts['clock']
  readonly #answers = new Map<string, { readonly atMs: number; readonly value: Promise<unknown> }>()

  constructor(clock: ShownParts['clock']) {
    this.#clock = clock
  }

  get(key: string, make: () => Promise<unknown>): Promise<unknown> {
    const nowMs = this.#clock.now()
    const kept = this.#answers.get(key)
    if (kept !== undefined && Math.abs(nowMs - kept.atMs) < KEPT_MS) return kept.value
    const value = make()
    value.catch(() => this.#answers.delete(key))
    this.#answers.delete(key)
    this.#answers.set(key, { atMs: nowMs, value })
    const [oldest] = this.#answers.keys()
    if (this.#answers.size > KEPT_MAX && oldest !== undefined) this.#answers.delete(oldest)
    return value
  }
}
