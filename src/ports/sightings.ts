import type { Hash, Hex } from '../domain/bytes.js'
import type { LightClient } from './settler.js'

/** One voter's signature of the next policy, as it stood in calldata. Nobody has checked it. */
export interface SeenVote {
  readonly rewardEpoch: number
  readonly policyHash: Hash
  readonly v: number
  readonly r: Hex
  readonly s: Hex
}

/** A signing policy's bytes as an event showed them. Nobody has checked them. */
export interface SeenPolicy {
  readonly rewardEpoch: number
  readonly policy: Hex
}

/** What one reading of the chain showed, up to a block. */
export interface SeenPage {
  readonly policies: readonly SeenPolicy[]
  readonly votes: readonly SeenVote[]
  /** The last block that was read. */
  readonly untilBlock: number
}

/**
 * What the attestor saw on its chain, kept because public nodes forget it: old logs and calldata
 * are pruned there. Facts are saved once and never changed; whoever uses one checks it.
 */
export interface Sightings {
  /** The last block that was read; undefined before the first reading. */
  readUntil(): Promise<number | undefined>
  savePage(page: SeenPage): Promise<void>
  /** Mostly one; a node that lied may have shown another. */
  policies(rewardEpoch: number): Promise<readonly Hex[]>
  votes(rewardEpoch: number): Promise<readonly SeenVote[]>
  /** The newest reward epoch of which a policy was seen. */
  newestPolicy(): Promise<number | undefined>
  /** Remembers an address of the Relay; contracts are replaced, and old rounds stay on old ones. */
  saveRelay(address: Hex): Promise<void>
  /** Newest first. */
  relays(): Promise<readonly Hex[]>
}

/** Where the signing policies stood when they were last looked at. Reward epochs. */
export interface PolicyWatch {
  /** The newest that Flare has set; it may not have begun. */
  readonly newest: number
  /** The one that signs the current round. */
  readonly inForce: number
  /** The newest that the light client has. */
  readonly accepted: number
  /** Since when it lacks the one in force; undefined while it has it. */
  readonly behindSinceMs?: number | undefined
  /** Absent in what an older version wrote; else as the light client says. */
  readonly proposal?: LightClient['proposal']
  readonly poisonedRounds?: LightClient['poisonedRounds']
}

/** A wallet's balance at one time, in its chain's smallest unit. */
export interface WalletBalance {
  readonly wallet: string
  readonly address: string
  /** Digits after the point of the chain's coin. */
  readonly decimals: number
  readonly balance: bigint
}

/** What a token was worth when it was last looked at. */
export interface TokenPrice {
  readonly token: string
  readonly currency: string
  /** Of the currency for one whole token, in wad; undefined: none keeps its bounds. */
  readonly price: bigint | undefined
}

/** What was last seen of things outside, for status and metrics. */
export interface Watch {
  savePolicies(seen: PolicyWatch): Promise<void>
  policies(): Promise<(PolicyWatch & { readonly atMs: number }) | undefined>
  /** All of them. */
  savePrices(seen: readonly TokenPrice[]): Promise<void>
  prices(): Promise<readonly TokenPrice[]>
  saveWallet(seen: WalletBalance): Promise<void>
  wallets(): Promise<readonly (WalletBalance & { readonly atMs: number })[]>
  /** The balances kept of a wallet since an instant, oldest first. */
  balances(
    wallet: string,
    sinceMs: number,
  ): Promise<readonly { readonly balance: bigint; readonly atMs: number }[]>
}
