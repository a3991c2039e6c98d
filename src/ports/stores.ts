import type { BatchHeader, BatchLife, BatchState } from '../domain/batch.js'
import type { Hash, Hex } from '../domain/bytes.js'
import type { AccountNumber, BatchSeq, ModelId, Purpose } from '../domain/ids.js'
import type { BatchProof } from '../domain/proof.js'
import type { RecordKey, UsageRecord } from '../domain/usage-record.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { Plan } from '../pricing/plan.js'
import type { Fate, SignedTx } from './lane.js'
import type { AppliedRecord, Balance, Conservation, EntryResult, Vault } from './settler.js'
import type { SourceFacts, UsageSlice } from './usage-source.js'

/** Where the reading of a source stands. */
export interface SourceState {
  readonly name: string
  /** All rows that started before this were read when it was written, ms. */
  readonly readUntilMs: number
  readonly lastReadAtMs: number | undefined
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
   * the slice was a re-scan below it. Returns how many records were new.
   */
  saveSlice(source: string, slice: UsageSlice, readAtMs: number): Promise<number>
  saveProblem(source: string, code: string, message: string): Promise<void>
  saveFacts(source: string, facts: SourceFacts): Promise<void>

  /** Billable, in no batch, and last looked at under another mapping. Oldest first. */
  unattributed(mappingVersion: string, limit: number): Promise<readonly UsageRecord[]>
  saveAttributions(mappingVersion: string, found: readonly RecordAttribution[]): Promise<void>
  /** Attributed under this mapping and in no batch. Oldest first. */
  attributed(mappingVersion: string, limit: number): Promise<readonly AttributedRecord[]>
  /** Fixes vault, period and model for ever. */
  claim(seq: BatchSeq, records: readonly AttributedRecord[]): Promise<void>
  claimedBy(seq: BatchSeq): Promise<readonly AttributedRecord[]>
  /** What all batches claimed, added up by the database: the totals must say the same. */
  claimedUsage(): Promise<readonly (EntryKey & UsageTotal)[]>

  counts(): Promise<RecordCounts>
  unmappedPayers(
    limit: number,
  ): Promise<
    readonly { readonly payer: string; readonly reason: string; readonly records: number }[]
  >
}

export interface RecordCounts {
  readonly records: number
  readonly excluded: number
  readonly rejects: number
  readonly unattributed: number
  readonly unmapped: number
  readonly attributed: number
  readonly claimed: number
  /** Start of the oldest billable record that is in no batch, ms. */
  readonly oldestUnsealedAtMs: number | undefined
}

/** Cumulative totals, as the newest batch that touched them states them. */
export interface Totals {
  of(key: EntryKey): Promise<readonly UsageTotal[]>
  save(key: EntryKey, rows: readonly UsageTotal[], statedBy: BatchSeq): Promise<void>
  /** All of them, added up again. */
  rows(): Promise<readonly (EntryKey & UsageTotal)[]>
  /** Every (vault, period) with the batch that states it last. */
  all(): Promise<readonly (EntryKey & { readonly statedBy: BatchSeq })[]>
}

export interface StoredBatch {
  readonly header: BatchHeader
  readonly life: BatchLife
  readonly manifestJson: string
  /** 65 bytes; absent until the meter has signed. */
  readonly signature: Hex | undefined
  /** Kept from `attested` on. */
  readonly proof: BatchProof | undefined
  readonly changedAtMs: number
}

export interface StoredEntry extends EntryKey {
  readonly seq: BatchSeq
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
  get(seq: BatchSeq): Promise<StoredBatch | undefined>
  oldestIn(...states: readonly BatchState[]): Promise<StoredBatch | undefined>
  newest(limit: number): Promise<readonly StoredBatch[]>
  add(header: BatchHeader, manifestJson: string, entries: readonly NewEntry[]): Promise<void>
  saveSignature(seq: BatchSeq, signature: Hex): Promise<void>
  saveLife(seq: BatchSeq, life: BatchLife): Promise<void>
  saveProof(seq: BatchSeq, proof: BatchProof): Promise<void>
  entries(seq: BatchSeq): Promise<readonly StoredEntry[]>
  saveResult(seq: BatchSeq, key: EntryKey, result: EntryResult, txId: string): Promise<void>
  /** Batches a state; entries whose newest result is not `applied`. */
  counts(): Promise<{
    readonly states: Readonly<Partial<Record<BatchState, number>>>
    readonly oldestChangeAtMs: Readonly<Partial<Record<BatchState, number>>>
    readonly refusedEntries: number
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
}

/** Signed transactions, saved before sending. At most one is open on a lane, and for a purpose. */
export interface Outbox {
  openOn(lane: string): Promise<SavedTx | undefined>
  /** Returns false, and saves nothing, when the lane or the purpose has an open one. */
  save(purpose: Purpose, lane: string, tx: SignedTx): Promise<boolean>
  close(tx: SavedTx, fate: Exclude<Fate, 'open'>): Promise<void>
  /** The newest transactions, for status and demo. */
  newest(limit: number): Promise<readonly SavedTx[]>
}

/** Payers and their account numbers, kept by the operator. */
export interface Directory {
  version(): Promise<string>
  find(payer: string): Promise<AccountNumber | undefined>
  findAll(payers: readonly string[]): Promise<ReadonlyMap<string, AccountNumber>>
  set(payer: string, account: AccountNumber): Promise<void>
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
  applied(): Promise<readonly AppliedRecord[]>
  saveBalances(balances: readonly Balance[]): Promise<void>
  balances(): Promise<readonly Balance[]>
  saveChecks(checks: Checks, conservation: Conservation, atMs: number): Promise<void>
  checks(): Promise<
    | { readonly checks: Checks; readonly conservation: Conservation; readonly atMs: number }
    | undefined
  >
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
  readonly totals: Totals
  readonly batches: Batches
  readonly outbox: Outbox
  readonly directory: Directory
  readonly books: Books
  readonly identity: Identity
}

export interface Store extends Stores {
  /** All or nothing. Work inside uses the stores it is given, not these. */
  transaction<Result>(work: (stores: Stores) => Promise<Result>): Promise<Result>
  migrate(): Promise<void>
  close(): Promise<void>
}
