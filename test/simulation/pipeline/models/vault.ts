import type { Entry } from '../../../../src/domain/entry.js'
import { type PeriodKind, periodAt } from '../../../../src/domain/period.js'
import type { EntryKey } from '../../../../src/domain/usage-total.js'
import type { EntryResult } from '../../../../src/ports/settler.js'
import type { Plan } from '../../../../src/pricing/plan.js'
import { type Billable, billableOf, dueOf, priceOf } from '../../../../src/pricing/price.js'

/** What was applied of one period. `rows` are kept for the judge: the contract has only sums. */
export interface PeriodRecord {
  readonly meterEpoch: number
  readonly lastSeq: bigint
  readonly billable: bigint
  readonly charged: bigint
  readonly rows: Entry['rows']
}

/** SubscriptionVaults.Vault. Wad and units; seconds. */
export interface VaultState {
  /** `leaving`: by its customer; `closing`: by the provider. */
  readonly status: 'open' | 'leaving' | 'closing' | 'closed'
  /** From when on anybody may end it; absent without notice. */
  readonly endsAt: number | undefined
  readonly periodKind: PeriodKind
  readonly openedPeriodStart: number
  readonly floor: number
  readonly plans: readonly { readonly fromPeriodStart: number; readonly planId: string }[]
  readonly isAutopayOn: boolean
  readonly isPaused: boolean
  readonly cap: bigint | undefined
  readonly entitled: bigint | undefined
  readonly balance: bigint
  readonly owed: bigint
  readonly charged: bigint
  readonly paid: bigint
  readonly writtenOff: bigint
  /** Paid in the period of the calendar that `spentIn` is. */
  readonly spent: bigint
  readonly spentIn: number
  readonly records: ReadonlyMap<number, PeriodRecord>
  /** By period, up to where its charges are approved. */
  readonly approved: ReadonlyMap<number, bigint>
}

const UNITS = 100_000_000n
/** A price from here on is malformed. */
const PRICE_END = 1n << 120n

export interface Settled {
  readonly vault: VaultState
  readonly result: EntryResult
  /** Units that went to the provider. */
  readonly moved: bigint
}

export interface SettleTerms {
  readonly seq: bigint
  readonly meterEpoch: number
  /** Block time, seconds. */
  readonly now: number
  /** Wad for a whole token; 0: payment waits. */
  readonly tokenPrice: bigint
  readonly plans: ReadonlyMap<string, Plan>
  /** Wad above which the charge of one entry has to be approved; absent: none has. */
  readonly maxCharge: bigint | undefined
}

/** Charges what one entry adds to its period, and pays what can be paid. Never throws. */
export function settleEntry(vault: VaultState, entry: Entry, terms: SettleTerms): Settled {
  const { seq, meterEpoch, plans, maxCharge } = terms
  const last = vault.records.get(entry.periodStart) ?? NOTHING_APPLIED
  const refused = (result: EntryResult): Settled => ({ vault, result, moved: 0n })
  const fault = faultOf(vault, entry.periodStart, terms.now)
  if (fault !== undefined) return refused(fault)
  const isStale =
    meterEpoch < last.meterEpoch || (meterEpoch === last.meterEpoch && seq <= last.lastSeq)
  if (isStale) return refused('stale')
  const plan = plans.get(planIn(vault, entry.periodStart) ?? '')
  if (plan === undefined) return refused('malformed')
  const billable = billableOf(plan, entry.rows)
  if (billable < last.billable) return refused('regressed')
  const price = dueOf(plan, entry.rows)
  if (price >= PRICE_END) return refused('malformed')
  const charged = most(price, last.charged)
  const charge = charged - last.charged
  const isApproved = charged <= (vault.approved.get(entry.periodStart) ?? 0n)
  if (maxCharge !== undefined && charge > maxCharge && !isApproved) return refused('held')
  const record = { meterEpoch, lastSeq: seq, billable, charged, rows: entry.rows }
  const records = new Map(vault.records).set(entry.periodStart, record)
  if (vault.status === 'closed') {
    return { ...refused('writtenOff'), vault: writeOff({ ...vault, records }, charge) }
  }
  return { ...pay({ ...vault, records }, charge, terms), result: 'applied' }
}

/** A charge of a closed vault, which nobody will pay. */
function writeOff(vault: VaultState, charge: bigint): VaultState {
  return {
    ...vault,
    charged: vault.charged + charge,
    writtenOff: vault.writtenOff + charge,
  }
}

/** Gives notice. @throws what the transaction reverts with */
export function beginEnding(
  vault: VaultState,
  status: 'leaving' | 'closing',
  endsAt: number,
): VaultState {
  if (vault.status !== 'open') throw new Error('beginEnding: it is closed, or will be')
  return { ...vault, status, endsAt }
}

/** A customer takes the own notice back. @throws what the transaction reverts with */
export function stay(vault: VaultState): VaultState {
  if (vault.status !== 'leaving') throw new Error('stay: the notice is not its customer’s')
  return { ...vault, status: 'open', endsAt: undefined }
}

/**
 * Closes a vault whose notice is over: pays what is owed, and writes off what cannot be paid. Who
 * leaves pays whatever the limits say.
 *
 * @throws what the transaction reverts with
 */
export function endVault(
  vault: VaultState,
  terms: Pick<SettleTerms, 'now' | 'tokenPrice'>,
): { readonly vault: VaultState; readonly moved: bigint } {
  const { endsAt, status } = vault
  if (endsAt === undefined || terms.now < endsAt) throw new Error('end: not yet, or not asked for')
  const none = { isAutopayOn: true, isPaused: false, cap: undefined, entitled: undefined }
  const { vault: paid, moved } = pay(
    status === 'leaving' ? { ...vault, ...none } : vault,
    0n,
    terms,
  )
  if (terms.tokenPrice === 0n && paid.balance > 0n && payableOf(paid, paid.owed, paid.spent) > 0n) {
    throw new Error('end: no price of the token')
  }
  const { owed } = paid
  const closed = { status: 'closed', endsAt: undefined, owed: 0n } as const
  return { moved, vault: { ...paid, ...closed, writtenOff: paid.writtenOff + owed } }
}

/** Adds a charge to what is owed, and pays of that what balance and limits allow. */
export function pay(
  vault: VaultState,
  charge: bigint,
  { now, tokenPrice }: Pick<SettleTerms, 'now' | 'tokenPrice'>,
): { readonly vault: VaultState; readonly moved: bigint } {
  const period = periodAt(now * 1000, vault.periodKind).startsAt
  const spentBefore = vault.spentIn === period ? vault.spent : 0n
  const owed = vault.owed + charge
  const payable = tokenPrice === 0n ? 0n : payableOf(vault, owed, spentBefore)
  const wanted = tokenPrice === 0n ? 0n : (payable * UNITS) / tokenPrice
  const moved = least(wanted, vault.balance)
  const paid = (moved * tokenPrice) / UNITS
  return {
    moved,
    vault: {
      ...vault,
      balance: vault.balance - moved,
      owed: owed - paid,
      charged: vault.charged + charge,
      paid: vault.paid + paid,
      spent: spentBefore + paid,
      spentIn: period,
      entitled: vault.entitled === undefined ? undefined : vault.entitled - paid,
    },
  }
}

/**
 * Lowers what is applied of a period, and gives back: first what is owed, then what was written
 * off, then what was paid.
 *
 * @throws what the transaction reverts with
 */
export function correctVault(
  vault: VaultState,
  { periodStart, billable, afterSeq }: EntryKey & { billable: bigint; afterSeq: bigint },
  terms: Pick<SettleTerms, 'meterEpoch' | 'tokenPrice' | 'plans'>,
): { readonly vault: VaultState; readonly moved: bigint } {
  const { meterEpoch, tokenPrice, plans } = terms
  const last = vault.records.get(periodStart) ?? NOTHING_APPLIED
  if (billable > last.billable) throw new Error(`correct: ${billable} is not lower`)
  const plan = plans.get(planIn(vault, periodStart) ?? '')
  if (plan === undefined) throw new Error('correct: no plan')
  // Nothing was used after all, so neither minimum nor fee is due.
  const cost = billable === 0n ? 0n : priceOf(plan, billable as Billable)
  const charged = least(cost, last.charged)
  const isLater = last.meterEpoch < meterEpoch || last.lastSeq < afterSeq
  const lastSeq = isLater ? afterSeq : last.lastSeq
  const records = new Map(vault.records)
  records.set(periodStart, { meterEpoch, lastSeq, billable, charged, rows: last.rows })
  const back = last.charged - charged
  const owed = least(back, vault.owed)
  const writtenOff = least(back - owed, vault.writtenOff)
  const refunded = back - owed - writtenOff
  if (refunded > 0n && tokenPrice === 0n) throw new Error('correct: no price of the token')
  const moved = refunded === 0n ? 0n : (refunded * UNITS + tokenPrice - 1n) / tokenPrice
  return {
    moved,
    vault: {
      ...vault,
      records,
      owed: vault.owed - owed,
      charged: vault.charged - back,
      writtenOff: vault.writtenOff - writtenOff,
      paid: vault.paid - refunded,
      balance: vault.balance + moved,
    },
  }
}

/** Units that no debt locks. */
export function freeOf({ owed, balance }: VaultState, tokenPrice: bigint): bigint {
  if (owed === 0n) return balance
  if (tokenPrice === 0n) return 0n
  const locked = (owed * UNITS + tokenPrice - 1n) / tokenPrice
  return balance > locked ? balance - locked : 0n
}

/** The plan in force in a period. */
export function planIn({ plans }: Pick<VaultState, 'plans'>, periodStart: number) {
  return plans.findLast(({ fromPeriodStart }) => fromPeriodStart <= periodStart)?.planId
}

export function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

export function most(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

export const NOTHING_APPLIED: PeriodRecord = {
  ...{ meterEpoch: 0, lastSeq: 0n, billable: 0n, charged: 0n, rows: [] },
}

function payableOf(vault: VaultState, owed: bigint, spent: bigint): bigint {
  if (!vault.isAutopayOn || vault.isPaused) return 0n
  let payable = owed
  if (vault.cap !== undefined) {
    const left = vault.cap > spent ? vault.cap - spent : 0n
    payable = least(payable, left)
  }
  if (vault.entitled !== undefined) payable = least(payable, vault.entitled)
  return payable
}

function faultOf(vault: VaultState, start: number, now: number): EntryResult | undefined {
  const isPeriod =
    start >= vault.openedPeriodStart &&
    start <= now &&
    periodAt(start * 1000, vault.periodKind).startsAt === start
  if (!isPeriod) return 'badPeriod'
  return start < vault.floor ? 'tooOld' : undefined
}
