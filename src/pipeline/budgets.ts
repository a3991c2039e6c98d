import { byokOf } from '../domain/budget-subject.js'
import type { AccountNumber } from '../domain/ids.js'
import { wad } from '../domain/money.js'
import type { Clock } from '../ports/clock.js'
import type { AccountState } from '../ports/runways.js'
import type { Settler } from '../ports/settler.js'
import type { Store, Stores } from '../ports/stores.js'
import { budgetWindow, DAY_MS } from '../pricing/budget.js'
import type { StepOutcome } from '../runtime/worker.js'
import { type AccountFacts, PageFacts, readFlow } from './account-facts.js'
import { accountState, BURN_WINDOWS_MS, type Look, Marks } from './account-state.js'
import { type BudgetSettings, exposedMs } from './budget-settings.js'
import { EarlierUse } from './byok-spend.js'
import { lowerToTerms } from './key-ceilings.js'
import { applyVerdict, type Moves, verdictOf } from './place-holds.js'

export interface BudgetsParts {
  readonly store: Store
  readonly settler: Pick<Settler, 'balances' | 'applied' | 'sealedHeight'>
  readonly clock: Clock
  readonly settings: BudgetSettings
  /** Those of the keys that are managed, if they are asked; what sends is known at once. */
  readonly sourcesRead: readonly string[]
  /** Told what was blocked and what may go on. */
  readonly onMoves?: (account: AccountNumber, moves: Moves) => void
}

/** Where the look at all accounts stands. A new process begins a new one. */
export interface BudgetsPass {
  after?: AccountNumber | undefined
  startedAtMs?: number
  /** How long the last whole look took. */
  tookMs?: number
  /** What was used on days that are over; see EarlierUse. */
  earlier?: EarlierUse
  /** Of the pages that were kept. */
  sums?: OperatorSums
}

/** What accounts that were looked at have spent of the operator's budget. */
interface OperatorSums {
  /** In its window. */
  readonly spent: bigint
  /** Since the day began. */
  readonly today: bigint
  /** Of some account nothing could be said, so that they are too small. */
  readonly isPartial: boolean
}

const NO_SUMS: OperatorSums = { spent: 0n, today: 0n, isPartial: false }

/** One script on Flow reads as many. */
const ACCOUNTS_A_PAGE = 200
/** More than the forecast looks at; see SpentDays. */
const MARKS_KEPT_DAYS = 370
/** Where nobody is told of blocks. */
const CHANGES_KEPT_MS = DAY_MS
const NOT_KNOWN = 'its plan, or the value of its tokens, is not known'

/**
 * Looks at the next accounts that have keys: what can be paid, what was spent and used, and whether
 * their keys may go on. It places and lifts holds, of its own reasons alone; `sync-keys` brings them to
 * the gateway.
 *
 * What cannot be read changes nothing by itself. While Flow is silent the funds last seen are set
 * against usage that is known, so a block may still come; none is lifted. While a source is silent the
 * reserve grows with the time that nothing is known of, at the pace measured before.
 */
export async function budgetsNext(
  parts: BudgetsParts,
  pass: BudgetsPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { store, clock } = parts
  pass.startedAtMs ??= clock.now()
  // What was spent counts against the operator's budget, also of whoever has no key any more.
  const operator = await store.budgetTerms.budget('operator')
  const sinceMs = operator && budgetWindow(operator, pass.startedAtMs).fromDay * DAY_MS
  const accounts = await store.keys.accounts(pass.after, ACCOUNTS_A_PAGE, sinceMs)
  if (accounts.length > 0) await lookAt(accounts, parts, pass, signal)
  pass.after = accounts.at(-1)
  if (accounts.length === ACCOUNTS_A_PAGE) return 'advanced'
  await endLook(parts, pass)
  return 'idle'
}

async function lookAt(
  accounts: readonly AccountNumber[],
  { store, settler, clock, settings, sourcesRead, onMoves }: BudgetsParts,
  pass: BudgetsPass,
  signal: AbortSignal,
): Promise<void> {
  // In this order: what comes in while Flow is asked is looked at next time.
  const nowMs = clock.now()
  const known = await store.spending.knownUntilMs(sourcesRead)
  const open = await store.spending.unsettled(accounts)
  const flow = await readFlow(settler, accounts, open, nowMs, signal)
  const { tookMs = 0, earlier = new EarlierUse() } = pass
  pass.earlier = earlier
  const { moves, sums } = await store.transaction(async (stores) => {
    const operator = await stores.budgetTerms.budget('operator')
    const knownUntilMs = Math.min(known ?? nowMs, nowMs)
    const look = { stores, settings, nowMs, knownUntilMs, operator, tookMs, earlier }
    const seenBefore =
      operator === undefined
        ? 0n
        : await stores.budgetTerms.operatorSpent(budgetWindow(operator, nowMs).fromDay)
    const page = await PageFacts.begin(stores, accounts, flow, nowMs)
    const read = await readPage(stores, accounts, look)
    const states: AccountState[] = []
    const all: [AccountNumber, Moves][] = []
    let added = pass.sums ?? NO_SUMS
    for (const account of accounts) {
      const facts = await page.of(
        account,
        open.filter(({ accountNumber }) => accountNumber === account),
        read.of(account),
      )
      const state = await accountState(facts, page, read.marks, look)
      added = addTo(added, state)
      const { spent } = added
      if (!facts.keys.some((key) => key.state !== 'deleted')) continue
      const verdict = verdictOf(facts, state, look, spent > seenBefore ? spent : seenBefore)
      all.push([account, await applyVerdict(verdict, facts, stores)])
      await lowerToTerms(facts, settings, stores)
      const kept = state ?? (facts.before && { ...facts.before, problem: NOT_KNOWN })
      if (kept !== undefined) states.push(kept)
    }
    await stores.runways.save(states, nowMs)
    return { moves: all, sums: added }
  })
  pass.sums = sums
  for (const [account, change] of moves) {
    if (change.placed.length + change.lifted.length > 0) onMoves?.(account, change)
  }
}

function addTo(sums: OperatorSums, state: AccountState | undefined): OperatorSums {
  if (state === undefined) return { ...sums, isPartial: true }
  if (state.spentOfOperator === undefined) return sums
  const { spentOfOperator, spentToday } = state
  return { ...sums, spent: sums.spent + spentOfOperator, today: sums.today + spentToday }
}

type PageRead = Pick<AccountFacts, 'before' | 'keys' | 'recent' | 'budget' | 'byokBudget' | 'tier'>

/** What is asked once for all accounts of a page. */
async function readPage(
  { keys, runways, spending, budgetTerms }: Stores,
  accounts: readonly AccountNumber[],
  { nowMs, knownUntilMs, operator, settings }: Look,
): Promise<{ readonly marks: Marks; readonly of: (account: AccountNumber) => PageRead }> {
  const goneSinceMs = nowMs - exposedMs(0, settings.delays, 0)
  const usable = await keys.usable(accounts, goneSinceMs)
  const before = new Map((await runways.of(accounts)).map((one) => [one.account, one]))
  const budgets = await budgetTerms.budgets([...accounts, ...accounts.map(byokOf)])
  const tiers = await budgetTerms.tiers(accounts)
  const recent = await spending.used(accounts, {
    sinceMs: Math.max(0, knownUntilMs - BURN_WINDOWS_MS.long),
    newestSinceMs: Math.max(0, knownUntilMs - BURN_WINDOWS_MS.newest),
    untilMs: knownUntilMs,
  })
  const days = new Set([Math.floor(nowMs / DAY_MS)])
  for (const one of [...budgets.values(), ...(operator === undefined ? [] : [operator])]) {
    days.add(budgetWindow(one, nowMs).fromDay)
  }
  return {
    marks: new Marks(await spending.marks(accounts, [...days])),
    of: (account) => ({
      before: before.get(account),
      keys: usable.filter((key) => key.account === account),
      recent: recent.filter(({ accountNumber }) => accountNumber === account),
      budget: budgets.get(account),
      byokBudget: budgets.get(byokOf(account)),
      tier: tiers.get(account),
    }),
  }
}

async function endLook({ store, clock }: BudgetsParts, pass: BudgetsPass): Promise<void> {
  const nowMs = clock.now()
  const startedAtMs = pass.startedAtMs ?? nowMs
  const operator = await store.budgetTerms.budget('operator')
  if (operator !== undefined) {
    const { fromDay } = budgetWindow(operator, startedAtMs)
    const { spent, today: spentToday, isPartial } = pass.sums ?? NO_SUMS
    const before = isPartial ? await store.budgetTerms.operatorSpent(fromDay) : 0n
    await store.budgetTerms.saveOperatorSpent(fromDay, wad(spent > before ? spent : before))
    const [today, began] = [nowMs, startedAtMs].map((ms) => Math.floor(ms / DAY_MS))
    // A look over midnight has some accounts of the one day and some of the other.
    if (today !== undefined && today === began && !isPartial) {
      await store.budgetTerms.saveOperatorDay(today, wad(spentToday), operator.currency)
    }
  }
  await store.runways.prune(startedAtMs)
  await store.holds.forgetChanges({ beforeMs: nowMs - CHANGES_KEPT_MS })
  const keptSince = Math.floor(nowMs / DAY_MS) - MARKS_KEPT_DAYS
  await store.spending.pruneMarks(keptSince)
  await store.budgetTerms.pruneOperatorDays(keptSince)
  pass.tookMs = Math.max(0, nowMs - startedAtMs)
  delete pass.startedAtMs
  delete pass.sums
  delete pass.after
}
