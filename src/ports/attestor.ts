import type { Anchor, BatchHeader } from '../domain/batch.js'
import type { Hash, Hex } from '../domain/bytes.js'
import type { BatchProof, PolicyProof, PolicySigners } from '../domain/proof.js'
import type { Call, Lane, SignedTx } from './lane.js'
import type { Sightings } from './sightings.js'
import type { Outbox } from './stores.js'

/** What this store's batches are bound to. Another one means another store. */
export interface AttestorIdentity {
  readonly chainId: number
  /** 20 bytes, lower case. */
  readonly anchorAddress: Hex
}

/** What the anchor contract knows of a meter. */
export interface MeterState {
  readonly lastSeq: bigint
  readonly lastRoot: Hash
}

export type ProofAnswer =
  | { readonly outcome: 'proven'; readonly proof: BatchProof }
  /**
   * The round's whole tree was fetched and our leaf is not in it, or the round ended long ago and
   * was never finalised (one without attestations never is): ask again in a later round.
   */
  | { readonly outcome: 'missed' }
  /** Nothing can be said yet: the root, the tree or a signature is not there. */
  | { readonly outcome: 'pending'; readonly why: string }

/** What the attestor must not forget: a part of the store. */
export interface AttestorMemory {
  readonly outbox: Pick<Outbox, 'spentSince'>
  readonly sightings: Sightings
}

/**
 * What the chain shows of a header where it was anchored: `other`: another batch of that number.
 * `absent`: it has not come to that number.
 */
export type AnchorSight = 'there' | 'other' | 'absent'

/** What was anchored, for who looks back. */
export interface AnchorHistory {
  /**
   * Looks in the block in which it was anchored, and nowhere else. An answer that is not `there` hangs on
   * no node alone where two are set.
   *
   * @throws RetryableError `anchor_event_not_found` where no node shows the event any more,
   * `nodes_disagree`, `node_behind`
   */
  sight(meter: Hex, header: BatchHeader, block: number, signal: AbortSignal): Promise<AnchorSight>
  /**
   * Headers of a meter, in order: from the newest back to the first that is known, that one left out.
   *
   * @throws RetryableError `anchor_event_not_found` where an event in between is served by no node
   */
  anchoredHeaders(
    meter: Hex,
    isKnown: (header: BatchHeader) => boolean,
    signal: AbortSignal,
  ): Promise<readonly BatchHeader[]>
  /** Whose signature it is, 20 bytes; undefined where it is none. Asks nobody. */
  signerOf(header: BatchHeader, signature: Hex): Hex | undefined
}

/** Reward epochs on the attestor's chain. */
export interface PolicyEpochs {
  /** The newest that has a policy; it may not have begun. */
  readonly newest: number
  /** The one that signs the current round. */
  readonly inForce: number
}

/** Keeps what policies need while public nodes still show it. */
export interface PolicyFollower {
  epochs(signal: AbortSignal): Promise<PolicyEpochs>
  /**
   * Reads a bounded piece of the chain on from where it stopped, and keeps each policy and who
   * signed it. Returns whether there is more to read.
   *
   * @param accepted the newest reward epoch that the light client has
   */
  follow(accepted: number, signal: AbortSignal): Promise<boolean>
}

/**
 * On whose word something is believed. `two_nodes`: of two that say the same, where two are set; for
 * what ends the daemon.
 */
export type Certainty = 'one_node' | 'two_nodes'

/**
 * Where batches are anchored and attested. Every method reads the chain anew, but for policies and
 * their votes, which public nodes forget. All
 * of them throw RetryableError (`attestor_unreachable`, `attestor_nonsense`) when it cannot be read.
 */
export interface Attestor {
  readonly lane: Lane
  readonly identity: AttestorIdentity

  /** @throws RetryableError `nodes_disagree` where two were asked and differ */
  meterState(meter: Hex, signal: AbortSignal, certainty?: Certainty): Promise<MeterState>
  /**
   * The header's event, whoever sent it; undefined while there is none.
   *
   * @param known where it was last: looked at first, however long ago that is
   * @throws ConfigError `another_root_anchored` when the meter's batch of this seq is another one
   */
  findAnchor(
    meter: Hex,
    header: BatchHeader,
    signal: AbortSignal,
    known?: Anchor,
  ): Promise<Anchor | undefined>
  anchorCall(header: BatchHeader, signature: Hex): Call

  /**
   * Asks for the anchor's attestation; reads the fee.
   *
   * @throws RetryableError `fee_budget_spent`, `request_not_verified`
   * @throws TerminalError `request_refused` when a verifier goes on saying no
   */
  requestCall(anchor: Anchor, signal: AbortSignal): Promise<Call>
  /** Whether it is time to ask again: the more rounds missed it, the longer that takes. */
  isRequestDue(missedRounds: readonly number[], signal: AbortSignal): Promise<boolean>
  /**
   * The newest voting round in which anybody asked for it, none of `missedRounds`.
   *
   * @param own a request of ours that landed: it counts even where no node shows its event yet
   */
  findRequest(
    anchor: Anchor,
    missedRounds: readonly number[],
    signal: AbortSignal,
    own?: SignedTx,
  ): Promise<number | undefined>
  /** Whether Flare has finalised the round. */
  isFinalised(round: number, signal: AbortSignal): Promise<boolean>
  /**
   * The proof of the anchor in that round, all of it checked here: tree, root, signatures. Asked
   * before the round is finalised too: only this tells that it never will be.
   */
  fetchProof(
    meter: Hex,
    header: BatchHeader,
    anchor: Anchor,
    round: number,
    signal: AbortSignal,
  ): Promise<ProofAnswer>

  /** The reward epoch whose policy signs that round, by the newest policy known to Flare. */
  rewardEpochOf(round: number, signal: AbortSignal): Promise<number>
  /**
   * A policy with the signatures of the one before; undefined until enough have signed it.
   *
   * @param signersOf who signs it, as the light client knows them; asked for where there is a policy.
   * Without it they are read from the chain, which may show them no more
   */
  policyProof(
    rewardEpoch: number,
    signal: AbortSignal,
    signersOf?: (rewardEpoch: number) => Promise<PolicySigners>,
  ): Promise<PolicyProof | undefined>

  /** For status and doctor. Amounts in the chain's smallest unit. */
  wallet(signal: AbortSignal): Promise<{ readonly address: Hex; readonly balance: bigint }>
}
