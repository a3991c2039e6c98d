import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { readSubject } from '../domain/budget-subject.js'
import { TerminalError } from '../domain/errors.js'
import { canonicalAccount } from '../domain/ids.js'
import { parseWad, type Wad } from '../domain/money.js'
import {
  type BudgetOrderParts,
  type BudgetWish,
  setBudget,
  setTier,
  unsetBudget,
  unsetTier,
} from '../pipeline/budget-orders.js'
import type { Ordered } from '../pipeline/record-correction.js'
import { askedAccount, PAGE_MAX } from '../pipeline/shown.js'
import { shownBudget, shownBudgets, shownRunway, shownTiers } from '../pipeline/shown-budgets.js'
import { answer, bad, limitOf, notFound } from './answers.js'
import { callerOf } from './guard.js'
import { type Read, reasonOf } from './key-bodies.js'

const DAYS = 30
const CURRENCY = 'USD'
const AMOUNT = /^\d{1,12}(\.\d{1,18})?$/

/**
 * How long accounts last and what they may use, as JSON: see ShownRunway. A customer sees their own.
 *
 * GET    /v1/vaults/<account>/runway
 * GET    /v1/quotas                     the tiers: { items }
 * PUT    /v1/quotas/<account>           { tier }; DELETE takes it away
 * GET    /v1/budgets?after=&limit=      { items, next }
 * GET    /v1/budgets/<subject>          an account's number, `7-byok`, or `operator`
 * PUT    /v1/budgets/<subject>          { hard, soft?, currency?, days? }; DELETE takes it away
 *
 * Every body may have a `reason`, for the operators' log. 404 what is not there, or another's;
 * `no_budgets` where the settings have no such part · 422 what makes no sense
 */
export function addBudgets(server: FastifyInstance, parts: BudgetOrderParts | undefined): void {
  const own = { config: { access: { role: 'read', accounts: { param: 'account' } } } } as const
  const anybody = { config: { access: { role: 'read', accounts: 'own' } } } as const
  const read = { config: { access: { role: 'read', accounts: 'all' } } } as const
  const configure = { config: { access: { role: 'configure', accounts: 'all' } } } as const
  if (parts === undefined) return
  const shown = { stores: parts.store, clock: parts.clock }

  server.get('/v1/vaults/:account/runway', own, async (request, reply) => {
    const { account } = request.params as { readonly account: string }
    const asked = askedAccount(account)
    return (asked && (await shownRunway(asked, shown))) ?? notFound(reply)
  })

  server.get('/v1/quotas', anybody, async () => {
    const { tiers, defaultTier } = parts.terms
    return { items: shownTiers(tiers, defaultTier) }
  })

  server.put('/v1/quotas/:account', configure, async (request, reply) => {
    const account = canonicalAccount((request.params as Params).account ?? '')
    const { tier } = (request.body ?? {}) as { readonly tier?: unknown }
    if (account === undefined) return notFound(reply)
    if (typeof tier !== 'string') return nonsense(reply, 'tier: the name of a tier')
    return ordered(request, reply, ['tier'], async (order) => {
      await setTier(parts, account, tier, order)
      return { account: `${account}`, tier }
    })
  })

  server.delete('/v1/quotas/:account', configure, async (request, reply) => {
    const account = canonicalAccount((request.params as Params).account ?? '')
    if (account === undefined) return notFound(reply)
    return ordered(request, reply, [], async (order) => {
      await unsetTier(parts, account, order)
      return { account: `${account}`, tier: null }
    })
  })

  server.get('/v1/budgets', read, async (request, reply) => {
    const { after, limit } = request.query as Params
    const from = after === undefined ? undefined : readSubject(after)
    if (after !== undefined && from === undefined)
      return bad(reply, 'after: an account, or operator')
    const count = limitOf(limit)
    if (count === undefined) return bad(reply, `limit: 1 to ${PAGE_MAX}`)
    return shownBudgets(from, count, shown)
  })

  server.get('/v1/budgets/:subject', read, async (request, reply) => {
    const subject = readSubject((request.params as Params).subject ?? '')
    return (subject && (await shownBudget(subject, shown))) ?? notFound(reply)
  })

  server.put('/v1/budgets/:subject', configure, async (request, reply) => {
    const subject = readSubject((request.params as Params).subject ?? '')
    if (subject === undefined) return notFound(reply)
    const wish = wishOf(request.body)
    if ('problem' in wish) return nonsense(reply, wish.problem)
    return ordered(request, reply, WISH_FIELDS, async (order) => {
      await setBudget(parts, subject, wish.value, order)
      return shownBudget(subject, shown)
    })
  })

  server.delete('/v1/budgets/:subject', configure, async (request, reply) => {
    const subject = readSubject((request.params as Params).subject ?? '')
    if (subject === undefined) return notFound(reply)
    return ordered(request, reply, [], async (order) => {
      await unsetBudget(parts, subject, order)
      return { subject: `${subject}`, budget: null }
    })
  })
}

type Params = Readonly<Partial<Record<'account' | 'subject' | 'after' | 'limit', string>>>

const WISH_FIELDS = ['hard', 'soft', 'currency', 'days']

function wishOf(body: unknown): Read<BudgetWish> {
  if (typeof body !== 'object' || body === null) return { problem: 'send a JSON object' }
  const fields = body as Readonly<Record<string, unknown>>
  const { hard, soft = null, currency = CURRENCY, days = DAYS } = fields
  const limit = amountOf(hard)
  const softly = soft === null ? null : amountOf(soft)
  if (limit === undefined) return { problem: 'hard: an amount as text, such as "1000"' }
  if (softly === undefined) return { problem: 'soft: an amount as text, or null' }
  if (typeof currency !== 'string') return { problem: 'currency: a text' }
  if (typeof days !== 'number') return { problem: 'days: a number' }
  return { value: { hard: limit, soft: softly ?? undefined, currency, days } }
}

function amountOf(value: unknown): Wad | undefined {
  return typeof value === 'string' && AMOUNT.test(value) ? parseWad(value) : undefined
}

async function ordered(
  request: FastifyRequest,
  reply: FastifyReply,
  known: readonly string[],
  work: (order: Ordered) => Promise<unknown>,
): Promise<unknown> {
  const fields = Object.keys((request.body as object | null | undefined) ?? {})
  const unknown = fields.find((name) => name !== 'reason' && !known.includes(name))
  if (unknown !== undefined) {
    return nonsense(
      reply,
      `a field that is not known here; there are ${[...known, 'reason'].join(', ')}`,
    )
  }
  const { reason: said } = (request.body ?? {}) as { readonly reason?: unknown }
  const reason = reasonOf(said === undefined ? undefined : { reason: said })
  if ('problem' in reason) return nonsense(reply, reason.problem)
  try {
    return await work({ by: callerOf(request).name, reason: reason.value ?? 'over HTTP' })
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error
    const isAbsent = error.code === 'no_budget' || error.code === 'no_vault'
    return answer(reply, isAbsent ? 404 : 422, error.code, error.message)
  }
}

function nonsense(reply: FastifyReply, message: string): FastifyReply {
  return answer(reply, 422, 'bad_budget', message)
}
