import type { BatchHeader } from './batch.js'
import type { Hash, Hex } from './bytes.js'

/** One voter's signature. `index` is its place in the signing policy. */
export interface PolicySignature {
  readonly index: number
  /** 64 bytes x ‖ y, recovered from the signature: Cadence has no recovery. */
  readonly publicKey: Hex
  /** 64 bytes r ‖ s. */
  readonly signature: Hex
}

/** Who may sign, and how much it takes: what a light client holds of a signing policy. */
export interface PolicySigners {
  /** The weight that signatures have to exceed. */
  readonly threshold: number
  /** In the policy's order. Addresses are 20 bytes, lower case. */
  readonly voters: readonly { readonly address: Hex; readonly weight: number }[]
}

/** A signing policy, with the signatures of the policy before it. */
export interface PolicyProof {
  readonly rewardEpoch: number
  /** Flare's own bytes: 43 + 22 for each voter. */
  readonly policy: Hex
  readonly signatures: readonly PolicySignature[]
}

/** The Merkle root of a voting round, with just enough signature weight. */
export interface RootProof {
  readonly round: number
  readonly root: Hash
  /** The reward epoch whose policy signed it. */
  readonly rewardEpoch: number
  /**
   * The reward epoch in which the round lies by the calendar, where that is known. With a policy that
   * comes late it is the next one; a light client takes the round only when it has that policy too.
   */
  readonly nominalEpoch?: number
  readonly signatures: readonly PolicySignature[]
}

/** The words of the attested transaction that differ from anchor to anchor (FDC EVMTransaction). */
export interface AttestedAnchor {
  readonly round: number
  readonly txHash: Hash
  readonly logIndex: number
  readonly blockNumber: bigint
  /** Seconds; the attestation's lowest used timestamp is the same. */
  readonly timestamp: bigint
  /** 20 bytes each. */
  readonly sourceAddress: Hex
  readonly receivingAddress: Hex
  readonly isDeployment: boolean
  readonly value: bigint
  /** Verifiers have returned `input` as no byte and, today, as one zero byte. */
  readonly input: 'empty' | 'zero_byte'
}

/** All that Flow needs to accept a batch: plain data, the one thing that crosses the chains. */
export interface BatchProof {
  readonly header: BatchHeader
  /** 20 bytes. */
  readonly meter: Hex
  readonly attested: AttestedAnchor
  /** From the attestation's leaf up to the round's root. */
  readonly path: readonly Hash[]
  readonly rootProof: RootProof
}

/** A run of consecutive entries of one chunk, with what proves it against the batch root. */
export interface EntryRun {
  readonly leavesBefore: readonly Hash[]
  /** The canonical bytes of each entry. */
  readonly entries: readonly Hex[]
  readonly leavesAfter: readonly Hash[]
  readonly path: readonly Hash[]
}
