import { type Anchor, type BatchHeader, isSameHeader } from '../../../../src/domain/batch.js'
import type { Hex } from '../../../../src/domain/bytes.js'
import { ConfigError, RetryableError } from '../../../../src/domain/errors.js'
import type { PolicyProof } from '../../../../src/domain/proof.js'
import type {
  AnchorHistory,
  AnchorSight,
  Attestor,
  MeterState,
  PolicyEpochs,
  PolicyFollower,
  ProofAnswer,
} from '../../../../src/ports/attestor.js'
import type { Call, Lane } from '../../../../src/ports/lane.js'
import type { Wire } from '../wire.js'
import { type EvmBody, type EvmChain, lastOf } from './evm.js'
import { meterOf, NOBODY } from './meter.js'
import {
  type ClosedRound,
  MISSED_AFTER_ROUNDS,
  policyMessage,
  proofIn,
  type Rounds,
  rootMessage,
  roundAt,
  signaturesOf,
} from './rounds.js'

/** What the server of proofs says next, in place of the truth. */
export type ServerAnswer = readonly [status: number, body: unknown]

export interface ModelAttestorParts {
  readonly chain: EvmChain
  readonly rounds: Rounds
  readonly lane: Lane
  /** To the nodes, and to the server of proofs. */
  readonly wire: Wire
  readonly daWire: Wire
  readonly nowMs: () => number
}

/** As the attestor's contract says: the longest wait between two requests. */
const BACKOFF_ROUNDS_MAX = 16

/** Anchor contract, FDC, Relay and DA layer of the model. */
export class ModelAttestor implements Attestor, AnchorHistory, PolicyFollower {
  readonly identity = { chainId: 114, anchorAddress: `0x${'22'.repeat(20)}` as Hex }
  readonly lane: Lane
  readonly serverAnswers: ServerAnswer[] = []
  readonly #parts: ModelAttestorParts

  constructor(parts: ModelAttestorParts) {
    this.lane = parts.lane
    this.#parts = parts
  }

  async meterState(meter: Hex, signal: AbortSignal): Promise<MeterState> {
    const { anchors } = this.#look(signal)
    const { seq: lastSeq, root: lastRoot } = lastOf(anchors, meter)
    return { lastSeq, lastRoot }
  }

  async findAnchor(
    meter: Hex,
    header: BatchHeader,
    signal: AbortSignal,
  ): Promise<Anchor | undefined> {
    const { anchors } = this.#look(signal)
    const found = anchors.find((one) => one.meter === meter && one.header.seq === header.seq)
    if (found === undefined) return undefined
    if (isSameHeader(found.header, header)) return found.anchor
    throw new ConfigError('another_root_anchored', `batch ${header.seq}`)
  }

  async sight(
    meter: Hex,
    header: BatchHeader,
    block: number,
    signal: AbortSignal,
  ): Promise<AnchorSight> {
    const { anchors, number } = this.#look(signal)
    if (number < block) throw new RetryableError('node_behind', `at block ${number}`)
    const shown = anchors.find((one) => one.meter === meter && one.header.seq === header.seq)
    if (shown === undefined) return 'absent'
    if (shown.anchor.blockNumber !== block) {
      throw new RetryableError('anchor_event_not_found', `batch ${header.seq}`)
    }
    return isSameHeader(shown.header, header) ? 'there' : 'other'
  }

  async anchoredHeaders(
    meter: Hex,
    isKnown: (header: BatchHeader) => boolean,
    signal: AbortSignal,
  ): Promise<readonly BatchHeader[]> {
    const { anchors } = this.#look(signal)
    const headers = anchors.filter((one) => one.meter === meter).map(({ header }) => header)
    return headers.slice(headers.findLastIndex(isKnown) + 1)
  }

  signerOf(header: BatchHeader, signature: Hex): Hex | undefined {
    const meter = meterOf(header, signature)
    return meter === NOBODY ? undefined : meter
  }

  anchorCall(header: BatchHeader, signature: Hex): Call {
    const body: EvmBody = { kind: 'anchor', header, signature }
    return { what: `anchor batch ${header.seq}`, body }
  }

  async requestCall(anchor: Anchor, signal: AbortSignal): Promise<Call> {
    this.#look(signal)
    const body: EvmBody = { kind: 'request', anchor }
    return { what: `request ${anchor.txHash}`, body }
  }

  async isRequestDue(missedRounds: readonly number[], signal: AbortSignal): Promise<boolean> {
    this.#look(signal)
    const last = missedRounds.at(-1)
    if (last === undefined) return true
    const wait = Math.min(2 ** (missedRounds.length - 1), BACKOFF_ROUNDS_MAX)
    return this.#parts.rounds.current >= last + wait
  }

  async findRequest(
    anchor: Anchor,
    missedRounds: readonly number[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { requests } = this.#look(signal)
    const newest = requests.findLast((request) => isSameAnchor(request.anchor, anchor))
    if (newest === undefined) return undefined
    const round = roundAt(newest.timestamp * 1000)
    return missedRounds.includes(round) ? undefined : round
  }

  async isFinalised(round: number, signal: AbortSignal): Promise<boolean> {
    this.#look(signal)
    return this.#finalised(round) !== undefined
  }

  async fetchProof(
    meter: Hex,
    header: BatchHeader,
    anchor: Anchor,
    round: number,
    signal: AbortSignal,
  ): Promise<ProofAnswer> {
    this.#look(signal)
    const closed = this.#finalised(round)
    if (closed === undefined) {
      const isOver = this.#parts.rounds.current - round > MISSED_AFTER_ROUNDS
      return isOver ? { outcome: 'missed' } : { outcome: 'pending', why: 'not finalised' }
    }
    const served = this.#served(closed)
    if (served !== undefined) return { outcome: 'pending', why: served }
    const found = proofIn(closed, anchor)
    if (found === undefined) return { outcome: 'missed' }
    return { outcome: 'proven', proof: this.#proof(meter, header, round, closed.root, found) }
  }

  async rewardEpochOf(round: number, signal: AbortSignal): Promise<number> {
    this.#look(signal)
    return this.#parts.rounds.epochOf(round)
  }

  async policyProof(rewardEpoch: number, signal: AbortSignal): Promise<PolicyProof | undefined> {
    this.#look(signal)
    const { rounds } = this.#parts
    return rounds.isPolicySigned(rewardEpoch) ? policyProofOf(rounds, rewardEpoch) : undefined
  }

  async epochs(signal: AbortSignal): Promise<PolicyEpochs> {
    this.#look(signal)
    const { rounds } = this.#parts
    const inForce = rounds.epochOf(rounds.current)
    return { inForce, newest: rounds.isPolicySigned(inForce + 1) ? inForce + 1 : inForce }
  }

  /** Its policies are never forgotten, so there is nothing to keep. */
  async follow(_accepted: number, signal: AbortSignal): Promise<boolean> {
    this.#look(signal)
    return false
  }

  async wallet(signal: AbortSignal): Promise<{ address: Hex; balance: bigint }> {
    this.#look(signal)
    return { address: `0x${'aa'.repeat(20)}`, balance: 1_000n }
  }

  /** What the node shows that answers. */
  #look(signal: AbortSignal) {
    signal.throwIfAborted()
    return this.#parts.chain.view(this.#parts.wire.ask())
  }

  #finalised(round: number): ClosedRound | undefined {
    const closed = this.#parts.rounds.closed(round)
    return closed !== undefined && closed.finalisedAtMs <= this.#parts.nowMs() ? closed : undefined
  }

  /** Why the server of proofs cannot be believed now; undefined when it shows the tree. */
  #served({ servedAtMs }: ClosedRound): string | undefined {
    const [status, body] = this.serverAnswers.shift() ?? [0, undefined]
    const isNotFound = JSON.stringify(body) === '{"error":"attestation request not found"}'
    const isGarbage = typeof body === 'object' && body !== null && 'proof' in body && body.proof
    if (status !== 0) {
      // The lookup by request says no, or something that does not verify: then the whole tree.
      if (!isNotFound && !(status === 200 && isGarbage)) return `the server said ${status}`
      if (this.serverAnswers.shift() !== undefined) return 'the tree does not have the root'
    }
    try {
      this.#parts.daWire.ask()
    } catch {
      return 'the server of proofs is out of reach'
    }
    return this.#parts.nowMs() < servedAtMs ? 'not served yet' : undefined
  }

  #proof(
    meter: Hex,
    header: BatchHeader,
    round: number,
    root: ClosedRound['root'],
    { leaf, path }: NonNullable<ReturnType<typeof proofIn>>,
  ) {
    const { rounds } = this.#parts
    const rewardEpoch = rounds.epochOf(round)
    const nominalEpoch = rounds.nominalEpoch(round)
    const signatures = signaturesOf(rewardEpoch, rootMessage(round, root))
    const rootProof = { round, root, rewardEpoch, nominalEpoch, signatures }
    return { header, meter, attested: leaf.attested, path, rootProof }
  }
}

export function policyProofOf(rounds: Rounds, rewardEpoch: number): PolicyProof {
  const policy = rounds.policyBytes(rewardEpoch)
  return { rewardEpoch, policy, signatures: signaturesOf(rewardEpoch - 1, policyMessage(policy)) }
}

function isSameAnchor(a: Anchor, b: Anchor): boolean {
  return a.txHash === b.txHash && a.logIndex === b.logIndex && a.blockNumber === b.blockNumber
}
