import type { Random } from '../../../../devnet/litellm/random.js'
import type { BatchHeader } from '../../../../src/domain/batch.js'
import {
  type Hash,
  type Hex,
  join,
  keccak,
  toHex,
  u32,
  utf8,
} from '../../../../src/domain/bytes.js'
import { merklePath, merkleRoot } from '../../../../src/domain/merkle.js'
import type { AttestedAnchor, PolicySignature } from '../../../../src/domain/proof.js'
import { encode } from '../../../../src/store/json.js'
import type { Anchored, EvmChain } from './evm.js'

export const ROUND_MS = 90_000
/** From a round's end until its tree is fixed. */
const CHOOSE_MS = 45_000
/** A round without a root is given up after so many. */
export const MISSED_AFTER_ROUNDS = 5
const VOTERS = 3
/** More than half of three equal weights. */
export const SIGNERS_MIN = 2

/** A leaf of a round's tree: what FDC attests of one anchor. */
export interface Leaf {
  readonly anchored: Anchored
  readonly attested: AttestedAnchor
  readonly leaf: Hash
}

/** What became of a voting round. */
export interface ClosedRound {
  readonly leaves: readonly Leaf[]
  readonly nodes: readonly Hash[]
  readonly root: Hash
  /** ms; never when it gets no root. */
  readonly finalisedAtMs: number
  /** When the DA layer begins to serve it. */
  readonly servedAtMs: number
  /** A second root that the voters signed, too. */
  readonly otherRoot: Hash | undefined
}

/** What the next rounds will do, asked when each closes. */
export interface RoundPlan {
  /** Nothing of it is attested. */
  isLossy?: boolean
  isNeverFinalised?: boolean
  isDoubleSigned?: boolean
  serveDelayMs?: number
}

/** Flare's voting rounds over the model chain, and the policies of its reward epochs. */
export class Rounds {
  /** Taken by the next round with a request in it. */
  plan: RoundPlan = {}
  /** Rounds that begin later than the calendar has them, by reward epoch. */
  readonly lateStarts = new Map<number, number>()
  readonly #chain: EvmChain
  readonly #random: Random
  readonly #nowMs: () => number
  readonly #roundsPerEpoch: number
  readonly #closed = new Map<number, ClosedRound>()
  #nextToClose: number

  constructor(chain: EvmChain, random: Random, nowMs: () => number, roundsPerEpoch: number) {
    this.#chain = chain
    this.#random = random
    this.#nowMs = nowMs
    this.#roundsPerEpoch = roundsPerEpoch
    this.#nextToClose = roundAt(nowMs())
  }

  get current(): number {
    return roundAt(this.#nowMs())
  }

  closed(round: number): ClosedRound | undefined {
    return this.#closed.get(round)
  }

  get all(): ReadonlyMap<number, ClosedRound> {
    return this.#closed
  }

  /** Fixes the tree of every round whose time is over. */
  tick(): void {
    while (this.#nowMs() >= (this.#nextToClose + 1) * ROUND_MS + CHOOSE_MS) {
      this.#close(this.#nextToClose)
      this.#nextToClose += 1
    }
  }

  startRound(epoch: number): number {
    return epoch * this.#roundsPerEpoch + (this.lateStarts.get(epoch) ?? 0)
  }

  nominalEpoch(round: number): number {
    return Math.floor(round / this.#roundsPerEpoch)
  }

  /** The reward epoch that serves a round. */
  epochOf(round: number): number {
    const nominal = this.nominalEpoch(round)
    return round < this.startRound(nominal) ? nominal - 1 : nominal
  }

  /** Signed some rounds before its time. */
  isPolicySigned(epoch: number): boolean {
    return this.current >= epoch * this.#roundsPerEpoch - 2
  }

  policyBytes(epoch: number): Hex {
    return toHex(utf8(JSON.stringify({ epoch, startRound: this.startRound(epoch) })))
  }

  #close(round: number): void {
    const { requests, anchors } = this.#chain.view()
    const asked = requests.filter(({ timestamp }) => roundAt(timestamp * 1000) === round)
    if (asked.length === 0) return
    const { isLossy, isNeverFinalised, isDoubleSigned, serveDelayMs = 0 } = this.plan
    this.plan = {}
    const wanted = isLossy ? [] : anchors.filter((one) => asked.some((r) => isSame(r.anchor, one)))
    const leaves = wanted.map((anchored) => leafOf(anchored, round))
    const stranger = keccak(utf8(`stranger's attestation in round ${round}`))
    const nodes = [...new Set([...leaves.map(({ leaf }) => leaf), stranger])].sort()
    const finalisedAtMs = isNeverFinalised
      ? Number.POSITIVE_INFINITY
      : (round + 1) * ROUND_MS + CHOOSE_MS + this.#random.whole(1, 30_000)
    this.#closed.set(round, {
      leaves,
      nodes,
      root: merkleRoot(nodes),
      finalisedAtMs,
      servedAtMs: finalisedAtMs + this.#random.whole(0, 60_000) + serveDelayMs,
      otherRoot: isDoubleSigned ? keccak(utf8(`another root of round ${round}`)) : undefined,
    })
  }
}

export function roundAt(ms: number): number {
  return Math.floor(ms / ROUND_MS)
}

/** The round's answer about one anchor; undefined where its tree has none. */
export function proofIn(
  { leaves, nodes }: ClosedRound,
  anchor: Anchored['anchor'],
): { readonly leaf: Leaf; readonly path: readonly Hash[] } | undefined {
  const leaf = leaves.find(({ anchored }) => isSame(anchor, anchored))
  if (leaf === undefined) return undefined
  return { leaf, path: merklePath(nodes, nodes.indexOf(leaf.leaf)) }
}

/** A request names what it expects to find: an anchor that moved is not confirmed. */
function isSame(asked: Anchored['anchor'], { anchor }: Anchored): boolean {
  return (
    asked.txHash === anchor.txHash &&
    asked.blockNumber === anchor.blockNumber &&
    asked.logIndex === anchor.logIndex
  )
}

function leafOf(anchored: Anchored, round: number): Leaf {
  const { anchor, meter, header, timestamp } = anchored
  const attested: AttestedAnchor = {
    round,
    txHash: anchor.txHash,
    logIndex: anchor.logIndex,
    blockNumber: BigInt(anchor.blockNumber),
    timestamp: BigInt(timestamp),
    sourceAddress: meter,
    receivingAddress: meter,
    isDeployment: false,
    value: 0n,
    input: 'zero_byte',
  }
  return { anchored, attested, leaf: attestationLeaf(attested, meter, header) }
}

/** What both chains make of an anchor's event. */
export function attestationLeaf(attested: AttestedAnchor, meter: Hex, header: BatchHeader): Hash {
  return keccak(utf8(encode({ attested, meter, header })))
}

/** Just enough of the voters of an epoch. */
export function signaturesOf(epoch: number, message: Hash, count = SIGNERS_MIN): PolicySignature[] {
  return Array.from({ length: Math.min(count, VOTERS) }, (_, index) => {
    const publicKey = keyOf(epoch, index)
    return { index, publicKey, signature: join(keccak(publicKey, message), message) }
  })
}

/** Distinct ascending voters of that epoch, enough of them, over that message. */
export function isSigned(
  epoch: number,
  message: Hash,
  signatures: readonly PolicySignature[],
): boolean {
  const good = signatures.filter(
    ({ index, publicKey, signature }, i) =>
      index > (signatures[i - 1]?.index ?? -1) &&
      index < VOTERS &&
      publicKey === keyOf(epoch, index) &&
      signature === join(keccak(publicKey, message), message),
  )
  return good.length === signatures.length && good.length >= SIGNERS_MIN
}

export function rootMessage(round: number, root: Hash): Hash {
  return keccak('0xc8', u32(round), '0x00', root)
}

export function policyMessage(policy: Hex): Hash {
  return keccak(policy)
}

function keyOf(epoch: number, index: number): Hex {
  const key = keccak(utf8(`voter ${epoch}/${index}`))
  return join(key, key)
}
