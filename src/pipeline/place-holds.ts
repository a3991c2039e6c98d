import { mayOpenByok } from '../domain/byok.js'
import { iso } from '../domain/instant.js'
import { formatWad, wad } from '../domain/money.js'
import { type QuotaLeft, usedUp } from '../domain/quota.js'
import type { Hold, HoldReason, KeyId } from '../domain/virtual-key.js'
import type { StoredKey } from '../ports/keys.js'
import type { AccountState } from '../ports/runways.js'
import type { Stores } from '../ports/stores.js'
import { type Budget, budgetWindow, DAY_MS } from '../pricing/budget.js'
import type { AccountFacts } from './account-facts.js'
import type { Look } from './account-state.js'

/** The reasons that this worker places and lifts. Whatever else stands is others' business. */
const OURS = ['balance', 'budget', 'quota'] as const satisfies readonly HoldReason[]

type Wanted = Pick<Hold, 'key' | 'text' | 'untilMs'> & { readonly reason: (typeof OURS)[number] }

/** Holds that are to stand; `keep`: reasons of which too little is known to lift them. */
export interface Verdict {
  readonly wanted: readonly Wanted[]
  readonly keep: readonly HoldReason[]
}

/** What changed. */
export interface Moves {
  readonly placed: readonly Wanted[]
  readonly lifted: readonly Hold[]
}

/** Pure: why an account's keys are to be blocked. @param state undefined: it cannot be known now */
export function verdictOf(
  facts: AccountFacts,
  state: AccountState | undefined,
  { settings, operator, nowMs }: Look,
  operatorSpent: bigint,
): Verdict {
  const { vault, isFlowRead } = facts
  if (isFlowRead && vault?.isOpen !== true) {
    const why = vault === undefined ? 'there is no such vault' : 'the vault is closed'
    const text = `${why}: nothing can be charged to it`
    return { wanted: [hold('balance', text)], keep: ['budget', 'quota'] }
  }
  // Missing knowledge changes nothing: it is no reason to block, and none to let go on.
  if (state === undefined) return { wanted: [], keep: OURS }
  return {
    wanted: [
      ...balanceHold(state),
      ...budgetHold(facts, state, nowMs),
      ...byokBudgetHolds(facts, state, settings.byokModels, nowMs),
      ...operatorHold(operator, operatorSpent, nowMs),
      ...quotaHolds(facts, state, settings.byokModels),
    ],
    keep: facts.isFresh ? [] : ['balance'],
  }
}

/** Places what is wanted and lifts what is not, of our own reasons alone. */
export async function applyVerdict(
  { wanted, keep }: Verdict,
  { account }: Pick<AccountFacts, 'account'>,
  { holds }: Pick<Stores, 'holds'>,
): Promise<Moves> {
  const standing = await holds.of(account)
  const placed: Wanted[] = []
  for (const one of merged(wanted)) {
    const before = standing.find((other) => isSame(other, one))
    if (before?.text === one.text && before.untilMs === one.untilMs) continue
    if (await holds.place({ account, ...one })) placed.push(one)
  }
  const lifted: Hold[] = []
  for (const one of standing) {
    const isOurs = OURS.some((reason) => reason === one.reason)
    if (!isOurs || keep.includes(one.reason) || wanted.some((other) => isSame(other, one))) continue
    if (await holds.lift(account, one.reason, one.key)) lifted.push(one)
  }
  return { placed, lifted }
}

function balanceHold({ runway, currency, from }: AccountState): Wanted[] {
  if (runway.level !== 'dry') return []
  const { available, reserve } = runway
  const gap = formatWad(wad(reserve - available))
  const what = from === 'credits' ? 'buy credits for' : 'deposit'
  return [
    hold(
      'balance',
      `${formatWad(available)} ${currency} are left and ${formatWad(reserve)} are kept back for ` +
        `calls that are on their way: ${what} more than ${gap} ${currency}`,
    ),
  ]
}

function budgetHold({ budget }: AccountFacts, state: AccountState, nowMs: number): Wanted[] {
  if (budget === undefined || state.budget?.level !== 'hard') return []
  const text = `the budget of ${formatWad(budget.hard)} ${budget.currency} in ${budget.days} days is used up`
  return [untilTurn(text, budget, nowMs)]
}

function operatorHold(operator: Budget | undefined, spent: bigint, nowMs: number): Wanted[] {
  if (operator === undefined || spent < operator.hard) return []
  return [untilTurn('the budget of the whole service is used up', operator, nowMs)]
}

function untilTurn(text: string, budget: Budget, nowMs: number): Wanted {
  const untilMs = budgetWindow(budget, nowMs).untilDay * DAY_MS
  return { ...hold('budget', `${text}, until ${iso(untilMs)}`), untilMs }
}

function byokBudgetHolds(
  { byokBudget, keys }: AccountFacts,
  state: AccountState,
  byokModels: readonly string[],
  nowMs: number,
): Wanted[] {
  if (byokBudget === undefined || state.byokBudget?.level !== 'hard') return []
  const { hard, currency, days } = byokBudget
  const whose = 'models with your own provider’s key'
  const text = `the budget of ${formatWad(hard)} ${currency} in ${days} days for ${whose} is used up`
  const one = untilTurn(text, byokBudget, nowMs)
  return byokKeys(keys, byokModels).map((key) => ({ ...one, key }))
}

function quotaHolds(
  { keys }: AccountFacts,
  { quota, byokQuota, tier }: AccountState,
  byokModels: readonly string[],
): Wanted[] {
  const [own, byok] = [usedUp(quota), usedUp(byokQuota)]
  const whose = `tier ${tier}, models with your own provider’s key`
  return [
    ...(own === undefined ? [] : [quotaHold(own, `tier ${tier}`)]),
    ...(byok === undefined
      ? []
      : byokKeys(keys, byokModels).map((key) => quotaHold(byok, whose, key))),
  ]
}

/**
 * The keys that may open a model for which clients bring their own provider's key: others go on.
 * Undefined is the account with all its keys, those to come included: where each of them may.
 */
function byokKeys(
  keys: readonly StoredKey[],
  byokModels: readonly string[],
): (KeyId | undefined)[] {
  const may = keys.filter(({ limits }) => mayOpenByok(limits.models, byokModels))
  return may.length === keys.length ? [undefined] : may.map(({ id }) => id)
}

const WORDS = {
  requests_an_hour: 'requests an hour',
  requests_a_day: 'requests a day',
  tokens_a_day: 'tokens a day',
} as const

function quotaHold({ limit, allowed, turnsAtMs }: QuotaLeft, whose: string, key?: KeyId): Wanted {
  if (allowed === 0n) {
    const text = `no ${WORDS[limit]} (${whose}) are allowed`
    return { reason: 'quota', text, key, untilMs: undefined }
  }
  const text = `${allowed} ${WORDS[limit]} (${whose}) are used up, until ${iso(turnsAtMs)}`
  return { reason: 'quota', text, key, untilMs: turnsAtMs }
}

function hold(reason: Wanted['reason'], text: string): Wanted {
  return { reason, text, key: undefined, untilMs: undefined }
}

/** One hold for a reason and a key: of two, the one that stands longer. */
function merged(wanted: readonly Wanted[]): Wanted[] {
  const end = ({ untilMs }: Wanted) => untilMs ?? Number.POSITIVE_INFINITY
  return wanted.filter(
    (one, i) =>
      !wanted.some(
        (other, j) =>
          isSame(one, other) && (end(other) > end(one) || (end(other) === end(one) && j < i)),
      ),
  )
}

function isSame(a: Pick<Hold, 'reason' | 'key'>, b: Pick<Hold, 'reason' | 'key'>): boolean {
  return a.reason === b.reason && a.key === b.key
}
