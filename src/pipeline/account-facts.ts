import { RetryableError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { customerAccount, WAD_PER_CREDIT } from '../domain/ledger.js'
import { type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { StoredKey } from '../ports/keys.js'
import type { AccountState, SeenFunds } from '../ports/runways.js'
import type { Balance, Settler, Vault } from '../ports/settler.js'
import type { RecentUse } from '../ports/spending.js'
import type { Stores } from '../ports/stores.js'
import type { Budget } from '../pricing/budget.js'
import type { Plan } from '../pricing/plan.js'
import { dueOf } from '../pricing/price.js'
import { changeRows } from './estimate.js'
import { planOf } from './plan-of.js'
import { nameOf } from './restate.js'

/** What Flow holds of a page of accounts, all of one block. */
export interface FlowFacts {
  readonly atMs: number
  readonly balances: ReadonlyMap<bigint, Balance>
  readonly charged: ReadonlyMap<string, Wad>
}

type FlowReader = Pick<Settler, 'balances' | 'applied' | 'sealedHeight'>

/** Undefined where Flow cannot be read now. */
export async function readFlow(
  settler: FlowReader,
  accounts: readonly AccountNumber[],
  keys: readonly EntryKey[],
  atMs: number,
  signal: AbortSignal,
): Promise<FlowFacts | undefined> {
  try {
    const height = await settler.sealedHeight(signal)
    const balances = await settler.balances(accounts, signal, height)
    const applied = keys.length === 0 ? [] : await settler.applied(keys, signal, height)
    return {
      atMs,
      balances: new Map(balances.map((one) => [one.account, one])),
      charged: new Map(applied.map((one) => [nameOf(one), one.charged])),
    }
  } catch (error) {
    if (error instanceof RetryableError) return undefined
    throw error
  }
}

/** One account with all that a look at it needs. */
export interface AccountFacts {
  readonly account: AccountNumber
  readonly vault: Vault | undefined
  /** In force now; undefined while it was not read from Flow. */
  readonly plan: Plan | undefined
  readonly isOnCredits: boolean
  /** What pays, as Flow or the ledger says, and whether it was said just now; undefined: never. */
  readonly seen: SeenFunds | undefined
  readonly isFresh: boolean
  /** Whether Flow's vaults were ever read, so that one that is not among them does not exist. */
  readonly isFlowRead: boolean
  /** The price of what is not charged, or not posted to the ledger, yet. */
  readonly unsettled: Wad
  /** All that was ever due. */
  readonly spent: Wad
  readonly before: AccountState | undefined
  readonly keys: readonly StoredKey[]
  readonly recent: readonly RecentUse[]
  readonly budget: Budget | undefined
  readonly byokBudget: Budget | undefined
  readonly tier: string | undefined
}

/** Reads the facts of a page of accounts, each question once for all of them where it can be. */
export class PageFacts {
  readonly #stores: Stores
  readonly #flow: FlowFacts | undefined
  readonly #nowMs: number
  readonly #plans: ReadonlyMap<string, Plan>
  readonly #vaults: ReadonlyMap<bigint, Vault>
  readonly #isFlowRead: boolean
  readonly #rows = new Map<string, readonly UsageTotal[]>()

  private constructor(
    stores: Stores,
    flow: FlowFacts | undefined,
    nowMs: number,
    plans: ReadonlyMap<string, Plan>,
    vaults: readonly Vault[],
    isFlowRead: boolean,
  ) {
    this.#stores = stores
    this.#flow = flow
    this.#nowMs = nowMs
    this.#plans = plans
    this.#isFlowRead = isFlowRead
    this.#vaults = new Map(vaults.map((vault) => [vault.account, vault]))
  }

  static async begin(
    stores: Stores,
    accounts: readonly AccountNumber[],
    flow: FlowFacts | undefined,
    nowMs: number,
  ): Promise<PageFacts> {
    const vaults = await stores.books.vaults(accounts)
    const isFlowRead = (await stores.books.version()) !== ''
    return new PageFacts(stores, flow, nowMs, await stores.books.plans(), vaults, isFlowRead)
  }

  /** @param open the account's (vault, period)s that Flow may not have charged */
  async of(
    account: AccountNumber,
    open: readonly EntryKey[],
    page: Pick<AccountFacts, 'before' | 'keys' | 'recent' | 'budget' | 'byokBudget' | 'tier'>,
  ): Promise<AccountFacts> {
    const vault = this.#vaults.get(account)
    const period = vault && periodAt(this.#nowMs, vault.periodKind).startsAt
    const plan = period === undefined ? undefined : this.plan(account, period)
    const isOnCredits = await this.#stores.payments.isAccount(account)
    const newest = await this.#seenOnFlow(account, plan, open)
    const onFlow = newest ?? page.before?.seen
    const notCharged = onFlow && (await this.#unsettled(open, (key) => this.#charged(key, onFlow)))
    const spent = wad((onFlow?.charged ?? 0n) + (notCharged ?? 0n))
    const ofVault = {
      ...{ account, vault, plan, isOnCredits, spent, ...page },
      seen: onFlow,
      isFresh: newest !== undefined,
      isFlowRead: this.#isFlowRead,
      unsettled: wad(notCharged ?? 0n),
    }
    if (!isOnCredits || onFlow === undefined) return ofVault
    const credits = wad(
      ((await this.#stores.ledger.balance(customerAccount(account))) * WAD_PER_CREDIT) / 1000n,
    )
    const unposted = await this.#unsettled(await this.#withNewest(account, open), (key) =>
      this.#posted(key),
    )
    return { ...ofVault, seen: { ...onFlow, funds: credits }, isFresh: true, unsettled: unposted }
  }

  plan(account: AccountNumber, periodStart: number): Plan | undefined {
    return planOf(this.#vaults.get(account), periodStart, this.#plans)
  }

  /** All usage of a (vault, period) that is known: stated and waiting. */
  async rows(key: EntryKey): Promise<readonly UsageTotal[]> {
    const known = this.#rows.get(nameOf(key))
    if (known !== undefined) return known
    const stated = await this.#stores.totals.of(key)
    const rows = changeRows(stated, await this.#stores.records.waitingOf(key), 1n)
    this.#rows.set(nameOf(key), rows)
    return rows
  }

  /** Undefined where Flow was not read, or the value of its tokens is not known. */
  async #seenOnFlow(
    account: AccountNumber,
    plan: Plan | undefined,
    open: readonly EntryKey[],
  ): Promise<SeenFunds | undefined> {
    if (this.#flow === undefined || plan === undefined) return undefined
    const balance = this.#flow.balances.get(account)
    const price = await this.#price(plan.currency)
    if (balance === undefined || price === undefined) return undefined
    const { charged } = this.#flow
    return {
      atMs: this.#flow.atMs,
      // What is less than a wad is not the customer's.
      funds: wad((balance.balance * price) / UNITS_A_TOKEN - balance.owed),
      charged: balance.charged,
      chargedOf: open.map(({ accountNumber, periodStart }) => ({
        periodStart,
        charged: charged.get(nameOf({ accountNumber, periodStart })) ?? wad(0n),
      })),
    }
  }

  /** Of a whole token; undefined where it is not known, or tokens differ. */
  async #price(currency: string): Promise<bigint | undefined> {
    const known = (await this.#stores.watch.prices()).filter((one) => one.currency === currency)
    return known.length === 1 ? known[0]?.price : undefined
  }

  /** What Flow had charged when it was read, or before: of what was settled then nothing changes. */
  async #charged(key: EntryKey, { chargedOf }: SeenFunds): Promise<bigint> {
    const seen = chargedOf.find(({ periodStart }) => periodStart === key.periodStart)
    if (seen !== undefined) return seen.charged
    const [applied] = await this.#stores.books.appliedOf([key])
    return applied?.charged ?? 0n
  }

  async #posted({ accountNumber, periodStart }: EntryKey): Promise<bigint> {
    const customer = customerAccount(accountNumber)
    const posted = await this.#stores.ledger.charged(customer, periodStart)
    return (posted * WAD_PER_CREDIT) / 1000n
  }

  /** Charges of the newest periods may be on Flow and not in the ledger yet. */
  async #withNewest(account: AccountNumber, open: readonly EntryKey[]): Promise<EntryKey[]> {
    const newest = (await this.#stores.totals.periodsOf(account)).slice(-PERIODS_POSTED_LATE)
    const all = new Map([...open, ...newest].map((key) => [key.periodStart, key]))
    return [...all.values()]
  }

  async #unsettled(
    keys: readonly EntryKey[],
    settled: (key: EntryKey) => Promise<bigint>,
  ): Promise<Wad> {
    let sum = 0n
    for (const key of keys) {
      const plan = this.plan(key.accountNumber, key.periodStart)
      if (plan === undefined) continue // Nobody knows a price, and Flow does not charge either.
      const rest = dueOf(plan, await this.rows(key)) - (await settled(key))
      // A correction that is not on Flow yet: what it gives back is not there before.
      if (rest > 0n) sum += rest
    }
    return wad(sum)
  }
}

/** A UFix64 has 8 places. */
const UNITS_A_TOKEN = 10n ** 8n
const PERIODS_POSTED_LATE = 2
