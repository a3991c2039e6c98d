import { type Anchor, type BatchHeader, isSameHeader } from '../../src/domain/batch.js'
import { type Hash, type Hex, keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { ConfigError, RetryableError } from '../../src/domain/errors.js'
import type { BatchProof, PolicyProof } from '../../src/domain/proof.js'
import type {
  AnchorHistory,
  AnchorSight,
  Attestor,
  Certainty,
  MeterState,
  ProofAnswer,
} from '../../src/ports/attestor.js'
import type { Call, SignedTx } from '../../src/ports/lane.js'
import type { MeterKey } from '../../src/ports/meter-key.js'
import { encode } from '../../src/store/json.js'
import { TestLane } from './test-lane.js'

const ROUNDS_AN_EPOCH = 8

type Body =
  | { readonly kind: 'anchor'; readonly header: BatchHeader; readonly signature: Hex }
  | { readonly kind: 'request'; readonly anchor: Anchor }

/** A key that signs as the port asks: the same each time, and one header for each number. */
export class TestMeterKey implements MeterKey {
  readonly address: Hex
  /** What the file beside the key remembers. */
  #last: { readonly seq: bigint; readonly digest: Hash } | undefined

  constructor(byte = '11') {
    this.address = `0x${byte.repeat(20)}`
  }

  async sign(header: BatchHeader): Promise<Hex> {
    const digest = keccak(utf8(encode(header)))
    const last = this.#last
    const isAgain = last?.seq === header.seq && last.digest === digest
    if (last !== undefined && !isAgain && header.seq <= last.seq) {
      throw new ConfigError('meter_second_digest', `batch ${last.seq} was signed before`)
    }
    this.#last = { seq: header.seq, digest }
    return signatureOf(header, this.address)
  }

  async adopt(header: BatchHeader | undefined, isForced: boolean): Promise<void> {
    const last = this.#last
    if (!isForced && last !== undefined && last.seq > (header?.seq ?? 0n)) {
      throw new ConfigError('meter_second_digest', `batch ${last.seq} was signed, and may come`)
    }
    this.#last = header && { seq: header.seq, digest: keccak(utf8(encode(header))) }
  }
}

/** Anchor contract, FDC and voting rounds in memory. Obeys the contract of the port. */
export class TestFlare implements Attestor, AnchorHistory {
  readonly identity = { chainId: 114, anchorAddress: `0x${'22'.repeat(20)}` as Hex }
  readonly lane = new TestLane('test/flare', (body) => this.#execute(body as Body))
  /** Every anchor that stands, in order. */
  readonly anchors: {
    readonly header: BatchHeader
    readonly anchor: Anchor
    /** The first one, unless given. */
    readonly meter?: Hex
  }[] = []
  /** Each was paid for. */
  readonly requests: { readonly anchor: Anchor; readonly round: number }[] = []
  /** Rounds whose tree lacks what was asked for. */
  readonly lossyRounds = new Set<number>()
  /** No node shows what was asked for, but for whoever knows the transaction. */
  isLogHidden = false
  /** Nodes refuse to show blocks that they have pruned, and answer everything else. */
  isLogRefused = false
  /** What one node alone says of the meter. */
  lie: MeterState | undefined
  /** The voting round that is open. */
  round = 100
  #blockNumber = 1
  readonly #meter: Hex

  constructor(meter: Hex) {
    this.#meter = meter
  }

  async meterState(
    meter: Hex,
    _signal?: AbortSignal,
    certainty: Certainty = 'one_node',
  ): Promise<MeterState> {
    if (this.lie !== undefined && certainty === 'one_node') return this.lie
    const last = this.#of(meter).at(-1)?.header
    return { lastSeq: last?.seq ?? 0n, lastRoot: last?.root ?? ZERO_HASH }
  }

  async sight(meter: Hex, header: BatchHeader, block: number): Promise<AnchorSight> {
    if (this.isLogRefused) {
      throw new RetryableError('attestor_unreachable', 'pruned history unavailable')
    }
    const shown = this.#of(meter).find((one) => one.header.seq === header.seq)
    if (shown === undefined) return 'absent'
    if (shown.anchor.blockNumber !== block || this.isLogHidden) {
      throw new RetryableError('anchor_event_not_found', `batch ${header.seq}`)
    }
    return isSameHeader(shown.header, header) ? 'there' : 'other'
  }

  async anchoredHeaders(
    meter: Hex,
    isKnown: (header: BatchHeader) => boolean,
  ): Promise<readonly BatchHeader[]> {
    const headers = this.#of(meter).map(({ header }) => header)
    return headers.slice(headers.findLastIndex(isKnown) + 1)
  }

  signerOf(header: BatchHeader, signature: Hex): Hex | undefined {
    const meter: Hex = `0x${signature.slice(66, 106)}`
    return signature === signatureOf(header, meter) ? meter : undefined
  }

  #of(meter: Hex) {
    return this.anchors.filter((one) => (one.meter ?? this.#meter) === meter)
  }

  async findAnchor(meter: Hex, header: BatchHeader): Promise<Anchor | undefined> {
    const found = this.#of(meter).find((one) => one.header.seq === header.seq)
    if (found !== undefined && found.header.root !== header.root) {
      throw new ConfigError('another_root_anchored', `batch ${header.seq}`)
    }
    return found?.anchor
  }

  anchorCall(header: BatchHeader, signature: Hex): Call {
    return { what: 'anchor', body: { kind: 'anchor', header, signature } satisfies Body }
  }

  async requestCall(anchor: Anchor): Promise<Call> {
    return { what: 'request', body: { kind: 'request', anchor } satisfies Body }
  }

  async isRequestDue(missed: readonly number[]): Promise<boolean> {
    return this.round >= (missed.at(-1) ?? 0) + Math.min(2 ** (missed.length - 1), 16)
  }

  async findRequest(
    anchor: Anchor,
    missed: readonly number[],
    _signal?: AbortSignal,
    own?: SignedTx,
  ): Promise<number | undefined> {
    if (this.isLogHidden && own === undefined) return undefined
    const rounds = this.requests.flatMap((request) =>
      isSameAnchor(request.anchor, anchor) ? [request.round] : [],
    )
    const newest = rounds.at(-1)
    return newest === undefined || missed.includes(newest) ? undefined : newest
  }

  async isFinalised(round: number): Promise<boolean> {
    return round < this.round - 1
  }

  async fetchProof(
    meter: Hex,
    header: BatchHeader,
    anchor: Anchor,
    round: number,
  ): Promise<ProofAnswer> {
    if (round >= this.round - 1) return { outcome: 'pending', why: 'not finalised' }
    const isAsked = this.requests.some(
      (request) => request.round === round && isSameAnchor(request.anchor, anchor),
    )
    if (!isAsked || this.lossyRounds.has(round)) return { outcome: 'missed' }
    return { outcome: 'proven', proof: proofOf(meter, header, anchor, round) }
  }

  async rewardEpochOf(round: number): Promise<number> {
    return epochOf(round)
  }

  async policyProof(rewardEpoch: number): Promise<PolicyProof | undefined> {
    if (rewardEpoch > epochOf(this.round)) return undefined
    return { rewardEpoch, policy: '0x', signatures: [] }
  }

  async wallet(): Promise<{ address: Hex; balance: bigint }> {
    return { address: this.identity.anchorAddress, balance: 1n }
  }

  /** A block is mined, and the open voting round ends. */
  tick(): void {
    this.#blockNumber += 1
    this.lane.mine()
    this.round += 1
  }

  /** The newest anchor leaves the chain with its block. */
  dropAnchor(): void {
    this.anchors.pop()
    this.lane.undo()
  }

  /** A reorganisation puts the newest anchor into another block. */
  moveAnchor(): void {
    const last = this.anchors.pop()
    if (last === undefined) throw new Error('there is no anchor to move')
    const anchor = { ...last.anchor, blockNumber: last.anchor.blockNumber + 1, logIndex: 9 }
    this.anchors.push({ ...last, anchor })
  }

  #execute(body: Body): string | undefined {
    if (body.kind === 'anchor') return this.anchorNow(body.header, body.signature)
    this.requests.push({ anchor: body.anchor, round: this.round })
    return undefined
  }

  /** Whoever sends it. Returns why it is refused. */
  anchorNow(header: BatchHeader, signature: Hex): string | undefined {
    const meter = this.signerOf(header, signature)
    if (meter === undefined) return 'nobody’s signature'
    const last = this.#of(meter).at(-1)?.header
    if (header.seq !== (last?.seq ?? 0n) + 1n) return 'SeqNotNext'
    if (header.prevRoot !== (last?.root ?? ZERO_HASH)) return 'PrevRootNotLast'
    const txHash = keccak(utf8(`anchor ${header.seq} ${this.#blockNumber} ${meter}`))
    this.anchors.push({
      header,
      meter,
      anchor: { txHash, blockNumber: this.#blockNumber, logIndex: 2 },
    })
    return undefined
  }
}

export function epochOf(round: number): number {
  return Math.floor(round / ROUNDS_AN_EPOCH)
}

function signatureOf(header: BatchHeader, meter: Hex): Hex {
  const digest = keccak(utf8(encode(header)))
  return `0x${digest.slice(2)}${meter.slice(2)}${digest.slice(42)}1b`
}

function isSameAnchor(a: Anchor, b: Anchor): boolean {
  return a.txHash === b.txHash && a.logIndex === b.logIndex && a.blockNumber === b.blockNumber
}

function proofOf(meter: Hex, header: BatchHeader, anchor: Anchor, round: number): BatchProof {
  const root = keccak(utf8(`round ${round}`))
  return {
    header,
    meter,
    attested: {
      round,
      txHash: anchor.txHash,
      logIndex: anchor.logIndex,
      blockNumber: BigInt(anchor.blockNumber),
      timestamp: 1n,
      sourceAddress: meter,
      receivingAddress: meter,
      isDeployment: false,
      value: 0n,
      input: 'zero_byte',
    },
    path: [],
    rootProof: { round, root, rewardEpoch: epochOf(round), signatures: [] },
  }
}
