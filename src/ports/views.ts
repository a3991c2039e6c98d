import type { BatchState } from '../domain/batch.js'
import type { Hash } from '../domain/bytes.js'
import type { AccountNumber, BatchId } from '../domain/ids.js'
import type { Fate } from './lane.js'

/** Tokens of one model, or of all others (`model` is undefined), in one slice of time. */
export interface UsageBucket {
  readonly startMs: number
  readonly model: string | undefined
  readonly promptTokens: bigint
  readonly cachedPromptTokens: bigint
  readonly completionTokens: bigint
  readonly requests: number
}

export interface UsageAsked {
  readonly fromMs: number
  /** Exclusive. */
  readonly untilMs: number
  readonly bucketMs: number
  /** The models with the most tokens are told apart; the others are one. */
  readonly modelsMax: number
  /** Of these vaults alone; of every payer, mapped or not, without it. */
  readonly accounts?: readonly AccountNumber[]
}

export interface BatchView {
  readonly id: BatchId
  readonly state: BatchState
  readonly root: Hash
  readonly sealedAtS: number
  readonly changedAtMs: number
  readonly entries: number
  /** Flare's voting round whose root proved it. */
  readonly round: number | undefined
  readonly missedRounds: number
  /** Where its header stands on Flare, whoever sent it. */
  readonly anchorTx: string | undefined
  readonly transactions: readonly {
    readonly purpose: string
    readonly id: string
    readonly fate: Fate
  }[]
}

/** What is shown to people: sums and pages that the database makes, each of them bounded. */
export interface Views {
  /** In order of time. Records that count, whether they are sealed or not. */
  usage(asked: UsageAsked): Promise<readonly UsageBucket[]>
  /** Vaults in order of their numbers, those after one. */
  accounts(
    after: AccountNumber | undefined,
    limit: number,
    among?: readonly AccountNumber[],
  ): Promise<readonly AccountNumber[]>
  /** Newest first, those before one. */
  batches(before: BatchId | undefined, limit: number): Promise<readonly BatchView[]>
  /** Transactions saved since then, by lane and what became of them. */
  fates(
    sinceMs: number,
  ): Promise<readonly { readonly lane: string; readonly fate: Fate; readonly count: number }[]>
  /** Batches sealed since then. */
  sealedSince(sinceMs: number): Promise<number>
}
