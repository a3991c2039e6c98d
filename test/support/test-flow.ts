import type { BatchHeader } from '../../src/domain/batch.js'
import { type Hash, type Hex, hash, keccak } from '../../src/domain/bytes.js'
import { chunkHash, type Entry } from '../../src/domain/entry.js'
import { type AccountNumber, accountNumber, type BatchSeq, modelId } from '../../src/domain/ids.js'
import { rootFromPath } from '../../src/domain/merkle.js'
import { type Ufix64Units, type Wad, wad } from '../../src/domain/money.js'
import type { BatchProof, EntryRun, PolicyProof, PolicySigners } from '../../src/domain/proof.js'
import type { EntryKey } from '../../src/domain/usage-total.js'
import type { Call } from '../../src/ports/lane.js'
import type {
  AppliedRecord,
  Balance,
  Conservation,
  EntryResult,
  EntrySettled,
  LightClient,
  SettledPage,
  Settler,
  Stream,
  UsageCorrected,
  Vault,
} from '../../src/ports/settler.js'
import { defaultPlan, defaultPlanModels } from '../../src/pricing/default-plan.js'
import type { Plan } from '../../src/pricing/plan.js'
import { type Billable, billableOf, priceOf } from '../../src/pricing/price.js'
import { TestLane } from './test-lane.js'

const EVENT_BLOCKS_MAX = 50
/** One token costs one of the currency: 1e-18 against 1e-8. */
const WAD_PER_UNIT = 10n ** 10n
const PLAN_ID = '1'

type Body =
  | { readonly kind: 'policy'; readonly rewardEpoch: number }
  | { readonly kind: 'accept'; readonly proof: BatchProof }
  | { readonly kind: 'settle'; readonly seq: bigint; readonly runs: readonly EntryRun[] }

type Account = { -readonly [Field in keyof Balance]: Balance[Field] }

/** Light client, batches and vaults in memory. Obeys the contract of the port. */
export class TestFlow implements Settler {
  readonly identity = { network: 'test', target: hash(`0x${'33'.repeat(32)}`), provider: 1n }
  readonly lanes: readonly [TestLane, ...TestLane[]]
  readonly vaultsHeld: Vault[] = []
  readonly modelsHeld: string[] = [...defaultPlanModels]
  /** Everything that became of entries, whoever brought them. */
  readonly events: EntrySettled[] = []
  /** Corrections by the provider, in order. */
  readonly corrections: UsageCorrected[] = []
  readonly accepted = new Map<bigint, Hash>()
  /** Rounds of which this light client takes no root any more. */
  readonly poisonedRounds = new Set<number>()
  /** Accounts whose entries make the whole transaction that brings them fail. */
  readonly breaking = new Set<bigint>()
  /** More entries in one transaction are refused. */
  entriesMax = Number.POSITIVE_INFINITY
  /** Rounds whose proofs it refuses without saying why. */
  readonly refusedRounds = new Set<number>()
  /** Entries that are refused, by account, with the result. */
  readonly refusals = new Map<bigint, EntryResult>()
  plan: Plan = defaultPlan
  height = 1
  lastEpoch: number
  proposal: LightClient['proposal']
  meter: Hex
  meterEpoch = 1
  activeFrom = 0
  isActive = true
  readonly #records = new Map<string, AppliedRecord>()
  readonly #accounts = new Map<bigint, Account>()
  #earnings = 0n

  constructor(meter: Hex, lastEpoch: number, lanes = 1) {
    const laneOf = (key: number): TestLane =>
      new TestLane(`test/flow/${key}`, (body) => this.#execute(body as Body))
    this.lanes = [laneOf(0), ...Array.from({ length: lanes - 1 }, (_, i) => laneOf(i + 1))]
    this.meter = meter
    this.lastEpoch = lastEpoch
  }

  openVault(number: bigint, openedPeriodStart: number, units = 10n ** 15n): void {
    const account = accountNumber(number)
    this.vaultsHeld.push({
      account,
      isOpen: true,
      periodKind: 'month',
      openedPeriodStart,
      floor: 0,
      plans: [{ fromPeriodStart: 0, planId: PLAN_ID }],
    })
    const nothing = { charged: wad(0n), paid: wad(0n), owed: wad(0n), writtenOff: wad(0n) }
    this.#accounts.set(number, { account, balance: units as Ufix64Units, ...nothing })
  }

  /** The only lane, or the first of them. */
  get lane(): TestLane {
    return this.lanes[0]
  }

  async checkLanes(): Promise<void> {}

  async stream(): Promise<Stream> {
    const { meter, meterEpoch, activeFrom, isActive } = this
    return { meter, meterEpoch, activeFrom, isActive }
  }

  async vaults(): Promise<readonly Vault[]> {
    return [...this.vaultsHeld]
  }

  async models(): Promise<readonly string[]> {
    return [...this.modelsHeld]
  }

  async plans(ids: readonly string[]): Promise<ReadonlyMap<string, Plan>> {
    return new Map(ids.map((id) => [id, this.plan]))
  }

  async lightClient(): Promise<LightClient> {
    const poisonedRounds = [...this.poisonedRounds].sort((a, b) => a - b)
    return { lastEpoch: this.lastEpoch, proposal: this.proposal, poisonedRounds }
  }

  async policySigners(): Promise<PolicySigners> {
    return { threshold: 0, voters: [] }
  }

  async canProve(round: number): Promise<boolean> {
    return !this.poisonedRounds.has(round)
  }

  policyCall({ rewardEpoch }: PolicyProof): Call {
    return { what: 'policy', body: { kind: 'policy', rewardEpoch } satisfies Body }
  }

  async acceptedRoot(seq: BatchSeq): Promise<Hash | undefined> {
    return this.accepted.get(seq)
  }

  async acceptedRoots(seqs: readonly BatchSeq[]): Promise<(Hash | undefined)[]> {
    return seqs.map((seq) => this.accepted.get(seq))
  }

  acceptCall(proof: BatchProof): Call {
    return { what: 'accept', body: { kind: 'accept', proof } satisfies Body }
  }

  settleCall({ seq }: BatchHeader, runs: readonly EntryRun[]): Call {
    return { what: 'settle', body: { kind: 'settle', seq, runs } satisfies Body }
  }

  async applied(keys: readonly EntryKey[]): Promise<readonly AppliedRecord[]> {
    return keys.map((key) => this.record(key))
  }

  async settledSince(fromHeight: number): Promise<SettledPage> {
    if (fromHeight > this.height) return { events: [], corrections: [], untilHeight: fromHeight }
    const stream = await this.stream()
    const untilHeight = Math.min(this.height, fromHeight + EVENT_BLOCKS_MAX - 1) + 1
    const isInside = ({ height }: { readonly height: number }) =>
      height >= fromHeight && height < untilHeight
    const [events, corrections] = [this.events.filter(isInside), this.corrections.filter(isInside)]
    return { events, corrections, stream, untilHeight }
  }

  async sealedHeight(): Promise<number> {
    return this.height
  }

  async balances(accounts: readonly AccountNumber[]): Promise<readonly Balance[]> {
    return accounts.flatMap((account) => {
      const found = this.#accounts.get(account)
      return found === undefined ? [] : [{ ...found }]
    })
  }

  async conservation(): Promise<Conservation> {
    const balances = [...this.#accounts.values()].reduce((sum, one) => sum + one.balance, 0n)
    return {
      pool: (balances + this.#earnings) as Ufix64Units,
      vaultBalances: balances as Ufix64Units,
      earnings: this.#earnings as Ufix64Units,
    }
  }

  async wallet(): Promise<{ address: string; balance: Ufix64Units }> {
    return { address: '0x01', balance: 1n as Ufix64Units }
  }

  /** What is held of one (vault, period). */
  record({ accountNumber: account, periodStart }: EntryKey): AppliedRecord {
    const key = { accountNumber: account, periodStart }
    const nothing = { meterEpoch: 0, lastSeq: 0n, billable: 0n, charged: wad(0n) }
    return this.#records.get(nameOf(key)) ?? { ...key, ...nothing }
  }

  /** A block is sealed. */
  tick(): void {
    this.height += 1
    for (const lane of this.lanes) lane.mine()
  }

  /** The provider names the next meter: what was taken of the one before can be settled no more. */
  setMeter(meter: Hex, isActive = true): void {
    this.height += 1
    this.meter = meter
    this.meterEpoch += 1
    this.isActive = isActive
    this.accepted.clear()
  }

  /** Whoever brings it. Returns why it is refused. */
  acceptNow({ header, meter, rootProof }: BatchProof): string | undefined {
    if (!this.isActive) return 'the meter is not active'
    if (meter !== this.meter) return 'another meter'
    if (header.target !== this.identity.target) return 'another target'
    if (rootProof.rewardEpoch > this.lastEpoch) return 'unknown policy'
    if (this.poisonedRounds.has(rootProof.round)) return 'poisoned round'
    if (this.refusedRounds.has(rootProof.round)) return 'refused'
    if (this.accepted.has(header.seq)) return 'accepted before'
    this.accepted.set(header.seq, header.root)
    return undefined
  }

  /** Somebody else brings entries, in a block of their own. Returns why they are refused. */
  settleNow(seq: bigint, runs: readonly EntryRun[]): string | undefined {
    this.height += 1
    return this.#settle(seq, runs)
  }

  /** The provider lowers what is applied, in a block of its own. Returns why it is refused. */
  correctNow(key: EntryKey, billable: bigint, afterSeq: bigint): string | undefined {
    const account = this.#accounts.get(key.accountNumber)
    if (account === undefined) return 'there is no such vault'
    const last = this.record(key)
    if (billable > last.billable) return 'a correction only lowers'
    const charged = last.meterEpoch === 0 ? wad(0n) : priceOf(this.plan, billable as Billable)
    const { meterEpoch } = this
    const before = last.meterEpoch === meterEpoch ? last.lastSeq : 0n
    const lastSeq = afterSeq > before ? afterSeq : before
    this.#give(account, (last.charged - charged) as Wad)
    this.#records.set(nameOf(key), { ...key, meterEpoch, lastSeq, billable, charged })
    this.height += 1
    const event = { ...key, billable, afterSeq: lastSeq, meterEpoch, reason: 'for a test' }
    this.corrections.push({ ...event, height: this.height, txId: `block ${this.height}` })
    return undefined
  }

  /** Lowers what is owed, then gives earnings back. */
  #give(account: Account, difference: Wad): void {
    const fromOwed = difference < account.owed ? difference : account.owed
    const units = (difference - fromOwed) / WAD_PER_UNIT
    account.charged = wad(account.charged - difference)
    account.owed = wad(account.owed - fromOwed)
    account.paid = wad(account.paid - units * WAD_PER_UNIT)
    // What is less than a unit stays paid, and is owed less of.
    const rest = difference - fromOwed - units * WAD_PER_UNIT
    account.paid = wad(account.paid - rest)
    account.balance = (account.balance + units) as Ufix64Units
    this.#earnings -= units
  }

  /** A wrong proof is refused, a proven entry never is. */
  #settle(seq: bigint, runs: readonly EntryRun[]): string | undefined {
    for (const { leavesBefore, entries, leavesAfter, path } of runs) {
      const leaves = [...leavesBefore, ...entries.map((bytes) => keccak(bytes)), ...leavesAfter]
      const isProven = rootFromPath(chunkHash(leaves), path) === this.accepted.get(seq)
      if (!isProven) return 'entries, leaves and path miss the root'
    }
    const brought = runs.flatMap(({ entries }) => entries)
    if (brought.length > this.entriesMax) return 'above the limit of computation'
    const broken = brought.find((bytes) => this.breaking.has(decodeEntry(bytes).accountNumber))
    if (broken !== undefined) return `account ${decodeEntry(broken).accountNumber} breaks it`
    for (const bytes of brought) {
      const { accountNumber: account, periodStart, rows } = decodeEntry(bytes)
      const result = this.#apply(seq, { accountNumber: account, periodStart }, rows)
      const event = { seq, result, height: this.height, txId: `block ${this.height}` }
      this.events.push({ accountNumber: account, periodStart, ...event })
    }
    return undefined
  }

  #execute(body: Body): string | undefined {
    if (body.kind === 'accept') return this.acceptNow(body.proof)
    if (body.kind === 'settle') return this.#settle(body.seq, body.runs)
    if (body.rewardEpoch !== this.lastEpoch + 1) return 'not the next policy'
    this.lastEpoch = body.rewardEpoch
    return undefined
  }

  #apply(seq: bigint, key: EntryKey, rows: Entry['rows']): EntryResult {
    const refusal = this.refusals.get(key.accountNumber)
    if (refusal !== undefined) return refusal
    const account = this.#accounts.get(key.accountNumber)
    if (account === undefined) return 'unknownAccount'
    const last = this.record(key)
    const { meterEpoch } = this
    if (meterEpoch === last.meterEpoch && seq <= last.lastSeq) return 'stale'
    const billable = billableOf(this.plan, rows)
    if (billable < last.billable) return 'regressed'
    const charged = priceOf(this.plan, billable)
    const record = { ...key, meterEpoch, lastSeq: seq, billable, charged }
    this.#records.set(nameOf(key), record)
    this.#pay(account, (charged - last.charged) as Wad)
    return 'applied'
  }

  #pay(account: Account, charge: Wad): void {
    const due = account.owed + charge
    const payable = due / WAD_PER_UNIT < account.balance ? due / WAD_PER_UNIT : account.balance
    account.balance = (account.balance - payable) as Ufix64Units
    this.#earnings += payable
    account.charged = wad(account.charged + charge)
    account.paid = wad(account.paid + payable * WAD_PER_UNIT)
    account.owed = wad(due - payable * WAD_PER_UNIT)
  }
}

function nameOf({ accountNumber: account, periodStart }: EntryKey): string {
  return `${account}/${periodStart}`
}

/** Reads the canonical bytes back: written from the format's description, not from the encoder. */
export function decodeEntry(bytes: Hex): Entry {
  const at = (start: number, length: number) =>
    `0x${bytes.slice(2 + 2 * start, 2 + 2 * (start + length))}`
  const rows: Entry['rows'][number][] = []
  for (let start = 45; 2 + 2 * start < bytes.length; start += 30) {
    rows.push({
      modelId: modelId(Number(at(start, 2))),
      promptTokens: BigInt(at(start + 2, 8)),
      cachedPromptTokens: BigInt(at(start + 10, 8)),
      completionTokens: BigInt(at(start + 18, 8)),
      requests: BigInt(at(start + 26, 4)),
    })
  }
  return {
    accountNumber: accountNumber(BigInt(at(1, 8))),
    periodStart: Number(at(9, 4)),
    recordsRoot: hash(at(13, 32)),
    rows,
  }
}
