import type { BatchHeader } from '../domain/batch.js'
import type { Hash, Hex } from '../domain/bytes.js'
import type { AccountNumber, BatchSeq } from '../domain/ids.js'
import type { Ufix64Units, Wad } from '../domain/money.js'
import type { PeriodKind } from '../domain/period.js'
import type { BatchProof, EntryRun, PolicyProof, PolicySigners } from '../domain/proof.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Plan } from '../pricing/plan.js'
import type { Call, Lane } from './lane.js'

/** Where batches must be addressed to: `target` is bound into every header. */
export interface SettlerIdentity {
  readonly network: string
  readonly target: Hash
  /** The provider whose vaults are served. */
  readonly provider: bigint
}

/** What the settlement chain's light client holds of Flare, and what was done to it. */
export interface LightClient {
  /** The newest reward epoch whose signing policy it holds. */
  readonly lastEpoch: number
  /** What governance wants it to start anew from, and the Unix seconds from which anybody may do so. */
  readonly proposal: { readonly epoch: number; readonly adoptableAt: number } | undefined
  /** Rounds for which Flare's voters signed two roots, ascending. They prove nothing. */
  readonly poisonedRounds: readonly number[]
}

/** The stream of batches that the chain accepts for our provider. */
export interface Stream {
  /** 20 bytes; absent until the provider has set one. */
  readonly meter: Hex | undefined
  /** 1 for the provider's first meter; 0 where it has none. */
  readonly meterEpoch: number
  /** Unix seconds from which its batches are taken, and whether that is so by now. */
  readonly activeFrom: number
  readonly isActive: boolean
}

/** A vault as far as metering needs to know it. */
export interface Vault {
  readonly account: AccountNumber
  readonly isOpen: boolean
  readonly periodKind: PeriodKind
  /** Start of the period it was opened in; usage of earlier periods is not taken. Seconds. */
  readonly openedPeriodStart: number
  /** Usage of periods before this is too old. Seconds. */
  readonly floor: number
  /** The plan of each period, ascending: it holds from its period on. */
  readonly plans: readonly { readonly fromPeriodStart: number; readonly planId: string }[]
}

/** What the chain has applied of one (vault, period). */
export interface AppliedRecord extends EntryKey {
  readonly meterEpoch: number
  /** 0 when nothing was applied. */
  readonly lastSeq: bigint
  /** 1e-4 tokens. */
  readonly billable: bigint
  readonly charged: Wad
}

export interface Balance {
  readonly account: AccountNumber
  readonly balance: Ufix64Units
  readonly charged: Wad
  readonly paid: Wad
  readonly owed: Wad
  readonly writtenOff: Wad
}

/** Differences that must be 0, and what they are made of. */
export interface Conservation {
  readonly pool: Ufix64Units
  readonly vaultBalances: Ufix64Units
  readonly earnings: Ufix64Units
}

export const ENTRY_RESULTS = [
  'applied',
  'stale',
  'regressed',
  'badPeriod',
  'tooOld',
  'unknownAccount',
  'held',
  'malformed',
  'writtenOff',
] as const
export type EntryResult = (typeof ENTRY_RESULTS)[number]

/** What became of one entry, from a sealed block. Brought by whoever. */
export interface EntrySettled extends EntryKey {
  readonly seq: bigint
  readonly result: EntryResult
  readonly height: number
  readonly txId: string
}

/** The provider lowered what was applied, from a sealed block. */
export interface UsageCorrected extends EntryKey {
  /** 1e-4 tokens that are applied now. */
  readonly billable: bigint
  /** Entries of batches up to it are stale since. */
  readonly afterSeq: bigint
  readonly meterEpoch: number
  readonly reason: string
  readonly height: number
  readonly txId: string
}

/** `untilHeight` is exclusive: the next call goes on there. */
export interface SettledPage {
  readonly events: readonly EntrySettled[]
  readonly corrections: readonly UsageCorrected[]
  /**
   * Of a sealed block that is not before the window's end: a meter that is there was so all the time.
   * Absent where the window has no block.
   */
  readonly stream?: Stream
  readonly untilHeight: number
}

/**
 * Where charges are made. Every method reads sealed state anew, the newest unless a height is given;
 * none remembers. All of them throw
 * RetryableError (`settler_unreachable`, `settler_nonsense`) when it cannot be read.
 */
export interface Settler {
  /** They may be used at the same time. */
  readonly lanes: readonly [Lane, ...Lane[]]
  readonly identity: SettlerIdentity

  /** @throws ConfigError where a lane's key on chain is not the one of the settings */
  checkLanes(signal: AbortSignal): Promise<void>
  stream(signal: AbortSignal): Promise<Stream>
  /** Every vault of the provider. */
  vaults(signal: AbortSignal): Promise<readonly Vault[]>
  /** The provider's model names in order: the first has id 1. Append-only. */
  models(signal: AbortSignal): Promise<readonly string[]>
  /** The terms of each plan named. */
  plans(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Plan>>

  lightClient(signal: AbortSignal): Promise<LightClient>
  /** Who signs for that reward epoch. @throws RetryableError `settler_nonsense` if it is not held */
  policySigners(rewardEpoch: number, signal: AbortSignal): Promise<PolicySigners>
  /** Whether a round's root counts, or could: its policy is held, and it has no second root. */
  canProve(round: number, signal: AbortSignal): Promise<boolean>
  policyCall(proof: PolicyProof): Call
  /** Undefined until the batch is accepted, and again when its root was given up. */
  acceptedRoot(seq: BatchSeq, signal: AbortSignal): Promise<Hash | undefined>
  /** The same of several at once, in their order. */
  acceptedRoots(
    seqs: readonly BatchSeq[],
    signal: AbortSignal,
  ): Promise<readonly (Hash | undefined)[]>
  acceptCall(proof: BatchProof): Call

  settleCall(header: BatchHeader, runs: readonly EntryRun[]): Call
  /** In the order asked for; a (vault, period) the chain does not know is all zero. */
  applied(
    keys: readonly EntryKey[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly AppliedRecord[]>
  /** Results of entries, and corrections, in sealed blocks from a height on, in order; one window. */
  settledSince(fromHeight: number, signal: AbortSignal): Promise<SettledPage>
  /** The newest sealed block. */
  sealedHeight(signal: AbortSignal): Promise<number>

  balances(
    accounts: readonly AccountNumber[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly Balance[]>
  conservation(signal: AbortSignal, atHeight?: number): Promise<Conservation>
  /** For status and doctor: the account that pays the fees. */
  wallet(signal: AbortSignal): Promise<{ readonly address: string; readonly balance: Ufix64Units }>
}
