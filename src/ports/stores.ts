import type { BatchHeader, BatchLife, BatchState } from '../domain/batch.js'
import type { Hash, Hex } from '../domain/bytes.js'
import type { AccountNumber, AccountRange, BatchId, ModelId, Purpose } from '../domain/ids.js'
import type { BatchProof } from '../domain/proof.js'
import type { RecordKey, Reject, UsageRecord } from '../domain/usage-record.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Plan } from '../pricing/plan.js'
import type { AccessTokens } from './access-tokens.js'
import type { Controls } from './control-totals.js'
import type { Corrections } from './corrections.js'
import type { Decisions } from './decisions.js'
import type { Holds, Keys } from './keys.js'
import type { Fate, Rescue, SignedTx, TxId } from './lane.js'
import type { Compared, Lap } from './laps.js'
import type { Ledger } from './ledger.js'
import type { Meters } from './meters.js'
import type { Notices } from './notices.js'
import type { OperatorLog } from './operator-log.js'
import type { Directories, Payers } from './payers.js'
import type { Payments } from './payments.js'
import type { ReportFacts } from './report-facts.js'
import type { BudgetTerms, Runways } from './runways.js'
import type { SealedUsages } from './sealed-usage.js'
import type { SetAsides } from './set-asides.js'
import type { AppliedRecord, Balance, Conservation, EntryResult, Vault } from './settler.js'
import type { Sightings, Watch } from './sightings.js'
import type { Readings } from './source-kind.js'
import type { Spending } from './spending.js'
import type { Stops } from './stops.js'
import type { SourceFacts, UsageSlice } from './usage-source.js'
import type { Views } from './views.js'

/** Where the reading of a source stands. */
export interface SourceState {
  readonly name: string
  /** All rows that started before this were read when it was written, ms. */
  readonly readUntilMs: number
  /** Where its reading began: nothing older is ever read, whatever the overlap. */
  readonly collectFromMs: number
  readonly lastReadAtMs: number | undefined
  /** When the newest deep re-scan that came to its end began; absent before the first. */
  readonly rescannedAtMs: number | undefined
  /** By how much its clock was ahead of ours, ms. */
  readonly clockSkewMs: number | undefined
  readonly facts: SourceFacts | undefined
  /** Why the newest try failed; absent after a success. */
  readonly problem: { readonly code: string; readonly message: string } | undefined
}

/** A record with what was made of it. */
export interface AttributedRecord extends UsageRecord {
  readonly account: AccountNumber
  readonly periodStart: number
  readonly modelId: ModelId
}

/** What attribution found out: everything that sealing will fix, or the reason to wait. */
export type RecordAttribution =
  | {
      readonly key: RecordKey
      readonly account: AccountNumber
      readonly strategy: string
      readonly periodStart: number
      readonly modelId: ModelId
    }
  | { readonly key: RecordKey; readonly account?: undefined; readonly reason: string }

/** Usage records and what is known of them. Facts are inserted once and never changed. */
export interface Records {
  source(name: string): Promise<SourceState | undefined>
  sources(): Promise<readonly SourceState[]>
  /** Starts a new source at an instant; changes nothing for a known one. */
  addSource(name: string, readUntilMs: number): Promise<void>
  /**
   * In one transaction: inserts what is new and moves the cursor to the end of the slice, unless
   * the slice was a re-scan below it. Returns how many records were new. A known id with other
   * billable fields is put in quarantine; a call that another source showed before is kept as
   * excluded, `twin_source`.
   */
  saveSlice(source: string, slice: UsageSlice, readAtMs: number): Promise<number>
  saveProblem(source: string, code: string, message: string): Promise<void>
  saveFacts(source: string, facts: SourceFacts): Promise<void>
  saveProgress(source: string, progress: SourceProgress): Promise<void>

  /** Rows that could not be read, newest first. */
  rejects(limit: number): Promise<readonly SeenReject[]>

  /** Billable, in no batch, and last looked at under another mapping. Oldest first. */
  unattributed(mappingVersion: string, limit: number): Promise<readonly UsageRecord[]>
  saveAttributions(mappingVersion: string, found: readonly RecordAttribution[]): Promise<void>
  /** Attributed under this mapping and in no batch; not where a correction waits. Oldest first. */
  attributed(mappingVersion: string, limit: number): Promise<readonly AttributedRecord[]>
  /** What waits to be sealed in one (vault, period), added up by model, in the order they came in. */
  waitingOf(key: EntryKey): Promise<readonly UsageTotal[]>
  /** Fixes vault, period and model for ever. */
  claim(id: BatchId, records: readonly AttributedRecord[]): Promise<void>
  claimedBy(id: BatchId): Promise<readonly AttributedRecord[]>
  /**
   * What all batches claimed, corrections included, added up by the database: the totals must say
   * the same. A (vault, period, model) may come twice, in parts.
   */
  claimedUsage(range: AccountRange): Promise<readonly (EntryKey & UsageTotal)[]>

  counts(): Promise<RecordCounts>
  unmappedPayers(
    limit: number,
  ): Promise<
    readonly { readonly payer: string; readonly reason: string; readonly records: number }[]
  >
}

/** A row that is no usage record. Read again after it was mended, it becomes one. */
export interface SeenReject extends Reject {
  readonly seenAtMs: number
}

/** What changes beside the cursor; what is absent stays. */
export interface SourceProgress {
  readonly clockSkewMs?: number
  readonly rescannedAtMs?: number
}

export interface RecordCounts {
  readonly records: number
  readonly excluded: number
  readonly rejects: number
  readonly unattributed: number
  readonly unmapped: number
  readonly attributed: number
  readonly claimed: number
  /** When the oldest of those that nothing but us keeps waiting was read, ms; undefined for none. */
  readonly waitingSinceMs: {
    readonly unattributed: number | undefined
    readonly unmapped: number | undefined
    /** Without those that wait for an operator or for a correction. */
    readonly attributed: number | undefined
  }
}

/** Cumulative totals, as the newest batch that touched them states them. */
export interface Totals {
  of(key: EntryKey): Promise<readonly UsageTotal[]>
  save(key: EntryKey, rows: readonly UsageTotal[], statedBy: BatchId): Promise<void>
  /** Changes the rows alone, by a correction: no batch states them yet. */
  lower(key: EntryKey, rows: readonly UsageTotal[]): Promise<void>
  periodsOf(account: AccountNumber): Promise<readonly EntryKey[]>
  rows(range: AccountRange): Promise<readonly (EntryKey & UsageTotal)[]>
  /** Every (vault, period) with the batch that states it last. */
  all(range: AccountRange): Promise<readonly Stated[]>
  /** Those of them that wait neither for a correction nor for an operator. */
  restatable(range: AccountRange): Promise<readonly Stated[]>
  /**
   * From an account on, so many accounts that about a thousand of their (vault, period)s are stated
   * or were seen on Flow: what walks over everything takes one such range after the other.
   */
  nextRange(from: AccountNumber): Promise<AccountRange>
}

export type Stated = EntryKey & { readonly statedBy: BatchId }

export interface StoredBatch {
  readonly id: BatchId
  readonly header: BatchHeader
  readonly life: BatchLife
  /** Empty where only the anchored header is known. */
  readonly manifestJson: string
  /** 65 bytes; absent until the meter has signed. */
  readonly signature: Hex | undefined
  /** Kept from `attested` on. */
  readonly proof: BatchProof | undefined
  readonly changedAtMs: number
}

/** What of a batch fits in memory however many there are: neither its manifest nor its proof. */
export interface BatchOutline {
  /** Unix seconds. */
  readonly sealedAt: number
  readonly life: BatchLife
  /** Only its anchored header is known. */
  readonly isAdopted: boolean
}

export interface ParkedBatch {
  readonly id: BatchId
  readonly life: Extract<BatchLife, { readonly state: 'parked' }>
}

export interface StoredEntry extends EntryKey {
  readonly batch: BatchId
  readonly position: number
  readonly bytes: Hex
  readonly leaf: Hash
  /** Absent until a sealed block on Flow says what became of it. */
  readonly result: EntryResult | undefined
  readonly txId: string | undefined
}

/** Sealed batches. A batch and its entries never change; what becomes of them is added. */
export interface Batches {
  last(): Promise<StoredBatch | undefined>
  get(id: BatchId): Promise<StoredBatch | undefined>
  outline(id: BatchId): Promise<BatchOutline | undefined>
  oldestIn(...states: readonly BatchState[]): Promise<StoredBatch | undefined>
  /** In order, from an id on. */
  parked(from: bigint, limit: number): Promise<readonly ParkedBatch[]>
  newest(limit: number): Promise<readonly StoredBatch[]>
  /** In order, from an id on. */
  page(from: bigint, limit: number): Promise<readonly StoredBatch[]>
  /** As a batch of the meter that signs now; so does `adopt`. */
  add(header: BatchHeader, manifestJson: string, entries: readonly NewEntry[]): Promise<void>
  /** A batch of which only the anchored header is known. It takes the place of one of ours. */
  adopt(header: BatchHeader): Promise<void>
  saveSignature(id: BatchId, signature: Hex): Promise<void>
  saveLife(id: BatchId, life: BatchLife): Promise<void>
  saveProof(id: BatchId, proof: BatchProof): Promise<void>
  entries(id: BatchId): Promise<readonly StoredEntry[]>
  /** Those entries of a batch that no later batch states. */
  newestIn(id: BatchId): Promise<readonly StoredEntry[]>
  /** The newest statements of a (vault, period), newest first. */
  statements(key: EntryKey, limit: number): Promise<readonly StoredEntry[]>
  /** The newest statement of a (vault, period) by a batch before this one. */
  statementBefore(key: EntryKey, id: BatchId): Promise<StoredEntry | undefined>
  /** How many entries it has, and records that it claimed. */
  size(id: BatchId): Promise<number>
  /** Whose newest statement Flow took note of and did not apply. */
  refused(limit: number): Promise<readonly StoredEntry[]>
  saveResult(id: BatchId, key: EntryKey, result: EntryResult, txId: string): Promise<void>
  /** Batches a state; (vault, period)s whose newest statement Flow refused; numbers that are missing. */
  counts(): Promise<{
    readonly states: Readonly<Partial<Record<BatchState, number>>>
    readonly oldestChangeAtMs: Readonly<Partial<Record<BatchState, number>>>
    readonly refusedEntries: number
    readonly gaps: bigint
  }>
}

export type NewEntry = Pick<
  StoredEntry,
  'accountNumber' | 'periodStart' | 'position' | 'bytes' | 'leaf'
> & { readonly recordsRoot: Hash }

export interface SavedTx extends SignedTx {
  readonly purpose: Purpose
  readonly lane: string
  readonly fate: Fate
  /** The variant that landed, where that is not the original. */
  readonly landedId?: TxId
}

/** Signed transactions, saved before sending. At most one is open on a lane, and for a purpose. */
export interface Outbox {
  openOn(lane: string): Promise<SavedTx | undefined>
  /** Returns false, and saves nothing, when the lane or the purpose has an open one. */
  save(purpose: Purpose, lane: string, tx: SignedTx): Promise<boolean>
  /** @param landedId the variant that landed, unless it is the original */
  close(tx: SavedTx, fate: Exclude<Fate, 'open'>, landedId?: TxId): Promise<void>
  /**
   * Keeps what was signed beside an open transaction; the same again changes nothing. Returns false,
   * and saves nothing, when the transaction is no longer open.
   */
  addVariant(tx: SavedTx, rescue: Rescue): Promise<boolean>
  /** The original and all its variants, oldest first. At most one of them can land. */
  variants(tx: SavedTx): Promise<readonly SignedTx[]>
  /** What the lane's transactions saved since then spend beside gas, those that failed left out. */
  spentSince(lane: string, sinceMs: number): Promise<bigint>
  /** The newest of a purpose that landed, by the id under which it did. */
  landed(purpose: Purpose): Promise<SignedTx | undefined>
  /** What failed of those whose purpose begins so. */
  refused(purposePrefix: string): Promise<readonly SavedTx[]>
  /** The newest transactions, for status and demo. */
  newest(limit: number): Promise<readonly SavedTx[]>
}

/** Payers and their account numbers, kept by the operator. */
export interface Directory {
  version(): Promise<string>
  find(payer: string): Promise<AccountNumber | undefined>
  findAll(payers: readonly string[]): Promise<ReadonlyMap<string, AccountNumber>>
  set(payer: string, account: AccountNumber): Promise<void>
  /** All or none of them. @param isWhole what is not among them is taken out */
  setAll(entries: ReadonlyMap<string, AccountNumber>, isWhole: boolean): Promise<void>
  remove(payer: string): Promise<boolean>
  list(
    limit: number,
  ): Promise<readonly { readonly payer: string; readonly account: AccountNumber }[]>
}

/** What Flow was last seen to hold: copies for attribution, status and checks; never the truth. */
export interface Books {
  /** Changes when vaults, plans or models do. Empty until the first reading. */
  version(): Promise<string>
  saveChainView(view: ChainView): Promise<void>
  vaults(accounts?: readonly AccountNumber[]): Promise<readonly Vault[]>
  models(): Promise<readonly string[]>
  plans(): Promise<ReadonlyMap<string, Plan>>

  /** Results are read up to here. */
  readHeight(): Promise<number | undefined>
  saveReadHeight(height: number): Promise<void>
  saveApplied(records: readonly AppliedRecord[]): Promise<void>
  applied(range: AccountRange): Promise<readonly AppliedRecord[]>
  appliedOf(keys: readonly EntryKey[]): Promise<readonly AppliedRecord[]>
  saveBalances(balances: readonly Balance[]): Promise<void>
  balances(range: AccountRange): Promise<readonly Balance[]>
  balancesOf(accounts: readonly AccountNumber[]): Promise<readonly Balance[]>
  /** Until `undefined` is saved, an adoption is not over. */
  saveAdoption(
    adoption: { readonly atMs: number; readonly toSeq: bigint } | undefined,
  ): Promise<void>
  adoption(): Promise<{ readonly atMs: number; readonly toSeq: bigint } | undefined>
  saveChecks(checks: Checks, conservation: Conservation, atMs: number): Promise<void>
  /**
   * What was compared with Flow last, and what the laps over everything have found. A check that laps
   * alone make is not there before its first lap has ended, unless it has found something.
   */
  checks(): Promise<MadeChecks | undefined>
  lap(course: string): Promise<Lap | undefined>
  saveLap(course: string, lap: Lap): Promise<void>
  /** All begin anew, and nothing is known until they have come round. */
  forgetLaps(): Promise<void>
}

export interface MadeChecks {
  readonly checks: Checks
  readonly conservation: Conservation
  /** When the books were compared with Flow. */
  readonly atMs: number
  /** By check, for those that laps make. */
  readonly compared: Readonly<Record<string, Compared>>
}

export interface ChainView {
  readonly vaults: readonly Vault[]
  readonly models: readonly string[]
  readonly plans: ReadonlyMap<string, Plan>
}

/** Named differences; every one must be 0 (design, section 8). */
export type Checks = Readonly<Record<string, bigint>>

/** Facts about the store itself: what it is bound to. */
export interface Identity {
  /** Keeps the value when there is none yet; returns what is kept. */
  bind(name: string, value: string): Promise<string>
  all(): Promise<Readonly<Record<string, string>>>
}

export interface Stores {
  readonly records: Records
  readonly readings: Readings
  readonly totals: Totals
  readonly batches: Batches
  readonly outbox: Outbox
  readonly directory: Directory
  readonly directories: Directories
  readonly payers: Payers
  readonly decisions: Decisions
  readonly setAsides: SetAsides
  readonly controls: Controls
  readonly sealedUsages: SealedUsages
  readonly reportFacts: ReportFacts
  readonly notices: Notices
  readonly corrections: Corrections
  readonly operatorLog: OperatorLog
  readonly stops: Stops
  readonly ledger: Ledger
  readonly payments: Payments
  readonly keys: Keys
  readonly holds: Holds
  readonly spending: Spending
  readonly budgetTerms: BudgetTerms
  readonly runways: Runways
  readonly books: Books
  readonly identity: Identity
  readonly meters: Meters
  readonly sightings: Sightings
  readonly watch: Watch
  readonly accessTokens: AccessTokens
  readonly views: Views
}

export interface Store extends Stores {
  /** All or nothing. Work inside uses the stores it is given, not these. */
  transaction<Result>(work: (stores: Stores) => Promise<Result>): Promise<Result>
  migrate(): Promise<void>
  close(): Promise<void>
}
