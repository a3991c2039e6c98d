import { expect } from 'vitest'
import { type CadenceValue, type Plain, uint } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { openVaults, type Provider, setFlowPrice, setUpProvider } from '../../devnet/flow/deploy.js'
import type { EmulatorParts } from '../../devnet/flow/emulator.js'
import { DEFAULT_PLAN, type Plan, planArguments } from '../../devnet/flow/plan.js'
import { eventsNamed, type TransactionResult } from '../../devnet/flow/results.js'
import { type Hash, type Hex, hash, u256, ZERO_HASH } from '../../src/domain/bytes.js'
import type { Entry } from '../../src/domain/entry.js'
import type { AccountNumber, ModelId } from '../../src/domain/ids.js'
import { acceptArgs, type Batch, batchOf, type Forgery, type Run, settleArgs } from './batches.js'
import { CHAIN_ID, START_ROUND, startWorld, u64, type World } from './world.js'

export const WAD = 10n ** 18n
/** Units of FLOW: 1e-8. */
export const FLOW = 10n ** 8n
/** What a token costs at the start of the default plan's tariff, in wad: 0.02 USD / 1000. */
export const TOKEN_WAD = WAD / 50_000n
/** 1 FLOW is 0.5 USD. */
export const FLOW_WAD = WAD / 2n

const METER = `0x${'7e'.repeat(20)}` as Hex

export interface Tokens {
  readonly modelId?: number
  readonly promptTokens: number | bigint
  readonly cachedPromptTokens?: number | bigint
  readonly completionTokens?: number | bigint
}

export interface Settled {
  readonly account: bigint
  readonly result: string
  readonly charge: bigint
  readonly charged: bigint
  readonly paid: bigint
  readonly owed: bigint
  readonly balance: bigint
}

/** A provider with the default plan, and what its daemon does on Flow. */
export class Settlement {
  readonly world: World
  readonly provider: Provider
  readonly target: Hash
  /** Start of the month that it is on Flow. */
  month: number
  meter = METER
  #seq = 0n
  #round = START_ROUND

  static async start(
    plan: Plan = DEFAULT_PLAN,
    emulatorParts: Partial<EmulatorParts> = {},
  ): Promise<Settlement> {
    const world = await startWorld({ meterDelaySeconds: 3_600 }, emulatorParts)
    try {
      const provider = await setUpProvider(world.client, { meter: METER, plan })
      const target = (await world.run('get_target')) as { readonly hash: bigint }
      // Noon in the middle of a month: no test meets the end of a period by chance.
      const { blockMs } = await world.client.clock()
      const now = new Date(blockMs)
      const noonMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 10, 12)
      await world.client.moveClock(noonMs - blockMs)
      const settlement = new Settlement(world, provider, hash(u256(target.hash)), noonMs)
      await settlement.setPrice(FLOW_WAD)
      return settlement
    } catch (error) {
      await world.stop()
      throw error
    }
  }

  constructor(world: World, provider: Provider, target: Hash, nowMs: number) {
    this.world = world
    this.provider = provider
    this.target = target
    this.month = monthOf(nowMs)
  }

  async moveClock(seconds: number): Promise<void> {
    const { blockMs } = await this.world.client.moveClock(seconds * 1_000)
    this.month = monthOf(blockMs)
  }

  stop(): Promise<void> {
    return this.world.stop()
  }

  /** The price of FLOW, good for a year. */
  setPrice(price: bigint): Promise<void> {
    return setFlowPrice(this.world, {
      currency: 'USD',
      price,
      minimum: WAD / 100n,
      maximum: 100n * WAD,
      maxAgeSeconds: 366 * 86_400,
    })
  }

  /** Publishes another plan of the provider. */
  async publish(plan: Plan): Promise<bigint> {
    const args = planArguments(plan)
    const result = await this.world.send('provider/publish_plan', args, this.provider.account)
    return eventsNamed(result, 'PricePlans.PlanPublished')[0]?.plan as bigint
  }

  /** Opens a vault with FLOW in it. */
  async open(deposit: string, planId = this.provider.planId): Promise<Customer> {
    const provider = { ...this.provider, planId }
    const [opened] = await openVaults(this.world.client, provider, [{ deposit }])
    if (opened === undefined) throw new Error('no vault was opened')
    return new Customer(this, opened.customer, opened.number)
  }

  entry(
    customer: { readonly number: bigint },
    rows: Tokens | Tokens[],
    periodStart = this.month,
  ): Entry {
    return {
      accountNumber: customer.number as AccountNumber,
      periodStart,
      recordsRoot: ZERO_HASH,
      rows: [rows].flat().map((row) => ({
        modelId: (row.modelId ?? 0) as ModelId,
        promptTokens: BigInt(row.promptTokens),
        cachedPromptTokens: BigInt(row.cachedPromptTokens ?? 0),
        completionTokens: BigInt(row.completionTokens ?? 0),
        requests: 1n,
      })),
    }
  }

  /** Seals entries and lets Flow accept the batch, in a round of its own. */
  async accept(
    entries: readonly (Entry | Hex)[],
    parts: { seq?: bigint; chunkMax?: number } = {},
  ): Promise<Batch> {
    const batch = this.seal(entries, parts)
    await this.world.send('anybody/accept_batch', this.acceptArgs(batch))
    return batch
  }

  /** A batch that Flow does not know yet. The next number, if none is given. */
  seal(entries: readonly (Entry | Hex)[], parts: { seq?: bigint; chunkMax?: number } = {}): Batch {
    const seq = parts.seq ?? this.#seq + 1n
    if (seq > this.#seq) this.#seq = seq
    return batchOf(entries, { ...parts, seq, target: this.target })
  }

  acceptArgs(
    batch: Batch,
    parts: { meter?: Hex; signers?: readonly number[]; forged?: Forgery } = {},
  ): CadenceValue[] {
    this.#round += 1
    return acceptArgs(batch.header, {
      provider: this.provider.id,
      meter: this.meter,
      round: this.#round,
      chainId: CHAIN_ID,
      ...parts,
    })
  }

  /** The batches of a new meter have numbers of their own. */
  restart(meter: Hex): void {
    this.meter = meter
    this.#seq = 0n
  }

  settle(runs: readonly Run[]): Promise<TransactionResult> {
    return this.world.send('anybody/settle_runs', settleArgs(this.provider.id, runs))
  }

  /** What became of each entry of a run. */
  async settled(...runs: Run[]): Promise<Settled[]> {
    return settledOf(await this.settle(runs))
  }

  /** Seals, accepts and settles entries, all in one chunk. */
  async bring(...entries: (Entry | Hex)[]): Promise<Settled[]> {
    return this.settled({ batch: await this.accept(entries) })
  }

  /** Charges a total of tokens to a period: the month, if none is given. */
  async use(customer: Customer, promptTokens: number, periodStart?: number): Promise<Settled> {
    const [result] = await this.bring(this.entry(customer, { promptTokens }, periodStart))
    if (result === undefined) throw new Error('nothing was settled')
    return result
  }

  /** Every conservation law, checked on Flow's own numbers. */
  async conservation(): Promise<Conservation> {
    const args = [u64(this.provider.id), uint('Int', 0), uint('Int', 1_000)]
    return (await this.world.run('get_conservation', args)) as unknown as Conservation
  }
}

interface Conservation {
  readonly pools: readonly {
    readonly token: string
    readonly balance: bigint
    readonly accounted: bigint
  }[]
  readonly books: readonly Sums[]
  readonly page: Sums & { readonly vaults: bigint }
}

interface Sums {
  readonly balances: bigint
  readonly storageDeposits: bigint
  readonly earnings: bigint
  readonly charged: bigint
  readonly paid: bigint
  readonly owed: bigint
  readonly writtenOff: bigint
}

export function settledOf(result: TransactionResult): Settled[] {
  return eventsNamed(result, 'SubscriptionVaults.EntrySettled') as unknown as Settled[]
}

function monthOf(atMs: number): number {
  const at = new Date(atMs)
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1) / 1_000
}

/** A customer with one vault. */
export class Customer {
  readonly number: bigint
  readonly account: FlowAccount
  readonly #settlement: Settlement

  constructor(settlement: Settlement, account: FlowAccount, number: bigint) {
    this.#settlement = settlement
    this.account = account
    this.number = number
  }

  /** Sends a file of `transactions/customer`; its first two arguments name the vault. */
  send(name: string, ...args: CadenceValue[]): Promise<TransactionResult> {
    return this.#world.send(`customer/${name}`, [...this.ids, ...args], this.account)
  }

  refused(name: string, ...args: CadenceValue[]): Promise<string> {
    return this.#world.refused(`customer/${name}`, [...this.ids, ...args], this.account)
  }

  async balances(): Promise<Readonly<Record<string, Plain>>> {
    const { ids } = this
    const accounts = { type: 'Array', value: [ids[1]] }
    const [found] = (await this.#world.run('get_balances', [ids[0] ?? u64(0), accounts])) as [
      Readonly<Record<string, Plain>>,
    ]
    return found
  }

  payOwed(): Promise<TransactionResult> {
    const accounts = { type: 'Array', value: [u64(this.number)] }
    return this.#world.send('anybody/pay_owed', [u64(this.#settlement.provider.id), accounts])
  }

  get ids(): CadenceValue[] {
    return [u64(this.#settlement.provider.id), u64(this.number)]
  }

  get #world(): World {
    return this.#settlement.world
  }
}

/** Pools hold what is accounted for, which is what all books say, charges are paid, owed or written off, and the running sums
 * are those of the vaults. */
export async function expectConservation(settlement: Settlement): Promise<void> {
  const { pools, books, page } = await settlement.conservation()
  const all = (await settlement.world.run('add_up_books', [u64(1), u64(1_000)])) as {
    readonly accounted: ReadonlyMap<string, bigint>
  }
  for (const { token, balance, accounted } of pools) {
    expect(balance).toBe(accounted)
    expect(all.accounted.get(token) ?? 0n).toBe(accounted)
  }
  for (const sums of [...books, page]) {
    expect(sums.charged).toBe(sums.paid + sums.owed + sums.writtenOff)
  }
  const names = ['balances', 'storageDeposits', 'charged', 'paid', 'owed', 'writtenOff'] as const
  for (const name of names) {
    expect(page[name]).toBe(books.reduce((sum, book) => sum + book[name], 0n))
  }
}
