/**
 * What SubscriptionVaults promises, said once more and simply: one provider, one token, one plan of
 * daily periods. Money is in wad, tokens in units of 1e-8. An action returns whether it is taken.
 */

const FLOW = 10n ** 8n
const DAY = 86_400
export const STORAGE_DEPOSIT = FLOW / 100n
export const NOTICE_S = DAY
export const FEE = 10n ** 15n

/** The price of a day with usage in wad: 1000 tokens at the first tier, the rest at half of it. */
export function priceOf(tokens: bigint): bigint {
  const first = least(tokens, 1_000n)
  return first * 20_000_000_000_000n + (tokens - first) * 10_000_000_000_000n + FEE
}

export interface VaultModel {
  state: 'open' | 'leaving' | 'closing' | 'closed'
  /** Its customer leaves, and the provider gave notice too. */
  isHeldToNotice: boolean
  balance: bigint
  storageDeposit: bigint
  charged: bigint
  paid: bigint
  owed: bigint
  writtenOff: bigint
  isAutopayOn: boolean
  isPaused: boolean
  cap: bigint | null
  entitled: bigint | null
  validUntil: number | null
  /** Paid in the day that `spentOn` starts. */
  spent: bigint
  spentOn: number
  withdrawal: { amount: bigint; maturesAt: number } | null
  endsAt: number
  readonly records: Map<number, { tokens: bigint; charged: bigint; seq: bigint }>
  readonly approvals: Map<number, bigint>
  readonly openedOn: number
}

export type EntryOutcome = 'applied' | 'stale' | 'regressed' | 'badPeriod' | 'held' | 'writtenOff'

export class DeskModel {
  readonly vaults: VaultModel[] = []
  earnings = 0n
  maxCharge: bigint | null = null
  /** Wad for one FLOW; 0: there is none. */
  price: bigint
  lastGood: bigint
  now: number

  constructor(price: bigint, now: number) {
    this.price = price
    this.lastGood = price
    this.now = now
  }

  get today(): number {
    return this.now - (this.now % DAY)
  }

  open(balance: bigint): void {
    this.vaults.push({
      ...{ state: 'open', balance, storageDeposit: STORAGE_DEPOSIT, charged: 0n, paid: 0n },
      ...{ owed: 0n, writtenOff: 0n, isAutopayOn: true, isPaused: false, cap: null },
      ...{ entitled: null, validUntil: null, spent: 0n, spentOn: this.today, withdrawal: null },
      ...{
        isHeldToNotice: false,
        endsAt: 0,
        records: new Map(),
        approvals: new Map(),
        openedOn: this.today,
      },
    })
  }

  setPrice(price: bigint): void {
    this.price = price
    if (price > 0n) this.lastGood = price
  }

  deposit(vault: VaultModel, units: bigint): boolean {
    if (vault.state === 'closed') return false
    vault.balance += units
    return true
  }

  settle(vault: VaultModel, periodStart: number, tokens: bigint, seq: bigint): EntryOutcome {
    if (periodStart < vault.openedOn || periodStart > this.now) return 'badPeriod'
    const last = vault.records.get(periodStart) ?? { tokens: 0n, charged: 0n, seq: 0n }
    if (seq <= last.seq) return 'stale'
    if (tokens < last.tokens) return 'regressed'
    const cost = priceOf(tokens)
    const charge = cost > last.charged ? cost - last.charged : 0n
    const charged = last.charged + charge
    const ceiling = vault.approvals.get(periodStart) ?? 0n
    if (this.maxCharge !== null && charge > this.maxCharge && charged > ceiling) return 'held'
    vault.records.set(periodStart, { tokens, charged, seq })
    vault.charged += charge
    if (vault.state === 'closed') {
      vault.writtenOff += charge
      return 'writtenOff'
    }
    vault.owed += charge
    this.payOwed(vault)
    return 'applied'
  }

  payOwed(vault: VaultModel): void {
    if (vault.spentOn !== this.today) {
      vault.spentOn = this.today
      vault.spent = 0n
    }
    if (vault.state === 'closed' || this.price === 0n) return
    const worth = (this.#payable(vault) * FLOW) / this.price
    const units = least(worth, vault.balance)
    const paid = (units * this.price) / FLOW
    vault.balance -= units
    vault.owed -= paid
    vault.paid += paid
    vault.spent += paid
    if (vault.entitled !== null) vault.entitled -= paid
    this.earnings += units
  }

  #payable(vault: VaultModel): bigint {
    const isOver = vault.validUntil !== null && this.now > vault.validUntil
    if (!vault.isAutopayOn || vault.isPaused || isOver) return 0n
    const { owed, cap, spent } = vault
    const underCap = cap === null ? owed : cap > spent ? cap - spent : 0n
    return least(owed, underCap, vault.entitled ?? owed)
  }

  free({ owed, balance }: VaultModel): bigint {
    if (owed === 0n) return balance
    const [rate, times] = this.price > 0n ? [this.price, 1n] : [this.lastGood, 2n]
    const locked = (owed * times * FLOW + rate - 1n) / rate
    return balance > locked ? balance - locked : 0n
  }

  requestWithdrawal(vault: VaultModel, amount: bigint): boolean {
    if (amount === 0n || amount > this.free(vault)) return false
    vault.withdrawal = { amount, maturesAt: this.now + NOTICE_S }
    return true
  }

  executeWithdrawal(vault: VaultModel): boolean {
    const { withdrawal } = vault
    if (withdrawal === null || this.now < withdrawal.maturesAt) return false
    if (this.now > withdrawal.maturesAt + DAY) return false
    const free = this.free(vault)
    const amount = least(withdrawal.amount, free)
    if (amount === 0n) return false
    vault.balance -= amount
    vault.withdrawal = null
    return true
  }

  beginEnding(vault: VaultModel, state: 'leaving' | 'closing'): boolean {
    if (state === 'closing' && vault.state === 'leaving' && !vault.isHeldToNotice) {
      vault.isHeldToNotice = true
      return true
    }
    if (vault.state !== 'open') return false
    vault.state = state
    vault.endsAt = this.now + NOTICE_S
    return true
  }

  stay(vault: VaultModel): boolean {
    if (vault.state !== 'leaving' || vault.isHeldToNotice) return false
    vault.state = 'open'
    return true
  }

  end(vault: VaultModel): boolean {
    if (vault.state === 'open' || vault.state === 'closed' || this.now < vault.endsAt) return false
    const noLimits = { isAutopayOn: true, isPaused: false, cap: null, entitled: null }
    const limits = vault.state === 'leaving' ? { ...noLimits, validUntil: null } : {}
    const spent = vault.spentOn === this.today ? vault.spent : 0n
    const payable = this.#payable({ ...vault, ...limits, spent })
    if (payable > 0n && vault.balance > 0n && this.price === 0n) return false
    Object.assign(vault, limits)
    this.payOwed(vault)
    vault.writtenOff += vault.owed
    vault.owed = 0n
    vault.balance += vault.storageDeposit
    Object.assign(vault, { storageDeposit: 0n, withdrawal: null, state: 'closed' })
    return true
  }

  /** @return what is paid back; 0: nothing, since there is none, or the vault is not closed */
  takeRest(vault: VaultModel): bigint {
    if (vault.state !== 'closed') return 0n
    const { balance } = vault
    vault.balance = 0n
    return balance
  }

  correct(vault: VaultModel, periodStart: number, tokens: bigint, afterSeq: bigint): boolean {
    if (periodStart < vault.openedOn || periodStart > this.now) return false
    const last = vault.records.get(periodStart) ?? { tokens: 0n, charged: 0n, seq: 0n }
    if (tokens > last.tokens) return false
    const cost = tokens === 0n ? 0n : priceOf(tokens)
    const charged = least(cost, last.charged)
    const relief = last.charged - charged
    const owed = least(relief, vault.owed)
    const writtenOff = least(relief - owed, vault.writtenOff)
    const refunded = relief - owed - writtenOff
    if (refunded > 0n && this.price === 0n) return false
    const units = refunded === 0n ? 0n : (refunded * FLOW + this.price - 1n) / this.price
    if (units > this.earnings) return false
    vault.records.set(periodStart, {
      tokens,
      charged,
      seq: afterSeq > last.seq ? afterSeq : last.seq,
    })
    vault.charged -= relief
    vault.owed -= owed
    vault.writtenOff -= writtenOff
    vault.paid -= refunded
    vault.balance += units
    this.earnings -= units
    return true
  }

  collect(units: bigint): boolean {
    if (units > this.earnings) return false
    this.earnings -= units
    return true
  }
}

function least(first: bigint, ...others: readonly bigint[]): bigint {
  let found = first
  for (const one of others) if (one < found) found = one
  return found
}
