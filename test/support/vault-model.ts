import { RetryableError } from '../../src/domain/errors.js'
import type { AccountNumber } from '../../src/domain/ids.js'
import { type Ufix64Units, wad } from '../../src/domain/money.js'
import type { EntryKey, UsageTotal } from '../../src/domain/usage-total.js'
import type { AppliedRecord, Balance } from '../../src/ports/settler.js'
import type { Plan } from '../../src/pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'

type Held = { -readonly [Field in keyof Balance]: Balance[Field] }

/** A whole token is worth one of the currency: 1e-8 of it is 1e10 wad. */
const WAD_PER_UNIT = 10n ** 10n

/** Vaults on Flow as far as their money goes: what they hold, and what was charged and is owed. */
export class VaultModel {
  readonly #plan: Plan
  readonly #held = new Map<bigint, Held>()
  readonly #applied = new Map<string, AppliedRecord>()
  /** No node answers. */
  isDown = false
  height = 1

  constructor(plan: Plan) {
    this.#plan = plan
  }

  open(account: AccountNumber): void {
    const nothing = { charged: wad(0n), paid: wad(0n), owed: wad(0n), writtenOff: wad(0n) }
    this.#held.set(account, { account, balance: 0n as Ufix64Units, ...nothing })
  }

  /** In 1e-8 tokens. What is owed is paid of it first. */
  deposit(account: AccountNumber, units: bigint): void {
    const held = this.#of(account)
    held.balance = (held.balance + units) as Ufix64Units
    this.#pay(held)
  }

  /** An entry of a batch. */
  apply(key: EntryKey, rows: readonly UsageTotal[], seq: bigint): AppliedRecord {
    const held = this.#of(key.accountNumber)
    const billable = billableOf(this.#plan, rows)
    const charged = priceOf(this.#plan, billable as Billable)
    const before = this.#recordOf(key).charged
    const record = { ...key, meterEpoch: 1, lastSeq: seq, billable, charged }
    this.#applied.set(nameOf(key), record)
    held.charged = wad(held.charged + charged - before)
    held.owed = wad(held.owed + charged - before)
    this.#pay(held)
    this.height += 1
    return record
  }

  async sealedHeight(): Promise<number> {
    this.#check()
    return this.height
  }

  async balances(accounts: readonly AccountNumber[]): Promise<readonly Balance[]> {
    this.#check()
    return accounts.flatMap((account) => {
      const held = this.#held.get(account)
      return held === undefined ? [] : [{ ...held }]
    })
  }

  async applied(keys: readonly EntryKey[]): Promise<readonly AppliedRecord[]> {
    this.#check()
    return keys.map((key) => this.#recordOf(key))
  }

  #check(): void {
    if (this.isDown) throw new RetryableError('settler_unreachable', 'no node answers')
  }

  #of(account: AccountNumber): Held {
    const held = this.#held.get(account)
    if (held === undefined) throw new Error(`no vault ${account}`)
    return held
  }

  #recordOf(key: EntryKey): AppliedRecord {
    const nothing = { meterEpoch: 0, lastSeq: 0n, billable: 0n, charged: wad(0n) }
    return this.#applied.get(nameOf(key)) ?? { ...key, ...nothing }
  }

  #pay(held: Held): void {
    const units = held.owed / WAD_PER_UNIT
    const paid = units < held.balance ? units : held.balance
    held.balance = (held.balance - paid) as Ufix64Units
    held.paid = wad(held.paid + paid * WAD_PER_UNIT)
    held.owed = wad(held.owed - paid * WAD_PER_UNIT)
  }
}

function nameOf({ accountNumber, periodStart }: EntryKey): string {
  return `${accountNumber}/${periodStart}`
}
