import type { Anchor, BatchHeader } from '../../domain/batch.js'
import { type Hash, type Hex, hash } from '../../domain/bytes.js'
import { ConfigError, RetryableError } from '../../domain/errors.js'
import { batchSeq } from '../../domain/ids.js'
import type { AnchorSight, Certainty, MeterState } from '../../ports/attestor.js'
import { type BlockRange, decodeEvent, type FlareChain } from './chain.js'
import type { FlareConfig } from './config.js'
import { asTopic, interfaces, topicOf } from './contracts.js'
import type { Log } from './parse.js'
import { anchorEvent } from './request.js'

const ANCHORED = topicOf(interfaces.anchor, 'UsageBatchAnchored')

type AnchorsConfig = Pick<FlareConfig, 'anchorAddress' | 'anchorFromBlock' | 'logSearchBlocks'>

/** What the anchor contract holds of meters, and its events. The methods are those of the port. */
export class Anchors {
  readonly #chain: FlareChain
  readonly #config: AnchorsConfig

  constructor(chain: FlareChain, config: AnchorsConfig) {
    this.#chain = chain
    this.#config = config
  }

  async meterState(
    meter: Hex,
    signal: AbortSignal,
    certainty: Certainty = 'one_node',
  ): Promise<MeterState> {
    if (certainty === 'two_nodes') return this.#agreedState(meter, signal)
    // One block for both: an anchor between two looks would pair a number with another's root.
    const { number } = await this.#chain.block('latest', signal)
    const { anchor } = interfaces
    const { anchorAddress } = this.#config
    const [[lastSeq], [lastRoot]] = await Promise.all([
      this.#chain.view(anchor, anchorAddress, 'lastSeq', [meter], signal, number),
      this.#chain.view(anchor, anchorAddress, 'lastRoot', [meter], signal, number),
    ])
    return { lastSeq: BigInt(lastSeq), lastRoot: String(lastRoot).toLowerCase() as Hash }
  }

  async find(
    meter: Hex,
    header: BatchHeader,
    signal: AbortSignal,
    known?: Anchor,
  ): Promise<Anchor | undefined> {
    const isAnother = ({ lastSeq, lastRoot }: MeterState): boolean =>
      lastSeq === header.seq && lastRoot !== header.root
    const state = await this.meterState(meter, signal)
    if (state.lastSeq < header.seq) return undefined
    if (isAnother(state)) {
      const agreed = await this.#agreedState(meter, signal)
      if (isAnother(agreed)) throw anotherRoot(header, agreed.lastRoot)
      throw oneNodeAlone(header)
    }
    const log = await this.#anchorLog(meter, header, signal, known?.blockNumber)
    const { transactionHash: txHash, blockNumber, logIndex } = log
    return { txHash, blockNumber, logIndex }
  }

  async headers(
    meter: Hex,
    isKnown: (header: BatchHeader) => boolean,
    signal: AbortSignal,
  ): Promise<readonly BatchHeader[]> {
    const { lastSeq } = await this.meterState(meter, signal)
    const { anchorFromBlock, logSearchBlocks } = this.#config
    const { number: until } = await this.#chain.block('latest', signal)
    const from = Math.max(anchorFromBlock, until - logSearchBlocks)
    const filter = { addresses: [this.#config.anchorAddress], topics: [ANCHORED, asTopic(meter)] }
    const headers: BatchHeader[] = []
    let next = lastSeq
    for await (const log of this.#chain.logsBackward(filter, { from, until }, signal)) {
      const header = anchoredHeader(log)
      if (header.seq > next) continue // Anchored since.
      if (header.seq < next) throw anchorNotServed(next, from, until)
      if (isKnown(header)) return headers.reverse()
      headers.push(header)
      next -= 1n
      if (next === 0n) break
    }
    if (next > 0n) throw anchorNotServed(next, from, until)
    return headers.reverse()
  }

  /** Of two nodes where there are two: what stops the daemon must not hang on the word of one. */
  async #agreedState(meter: Hex, signal: AbortSignal): Promise<MeterState> {
    const { anchor } = interfaces
    const of = (method: 'lastSeq' | 'lastRoot'): Promise<string> =>
      this.#chain.agreed(anchor, this.#config.anchorAddress, method, [meter], signal)
    const before = await of('lastRoot')
    const lastSeq = BigInt(await of('lastSeq'))
    const lastRoot = await of('lastRoot')
    // Else the number may be that of another root.
    if (before === lastRoot) return { lastSeq, lastRoot: lastRoot.toLowerCase() as Hash }
    throw new RetryableError('nodes_disagree', `the last root of ${meter} changed in between`)
  }

  async sight(
    meter: Hex,
    header: BatchHeader,
    block: number,
    signal: AbortSignal,
  ): Promise<AnchorSight> {
    const { log, others, nodes } = await this.#shown(
      meter,
      header,
      { from: block, until: block },
      signal,
    )
    if (log !== undefined) return 'there'
    if (others.length > 0) {
      if (others.length < nodes) throw oneNodeAlone(header)
      return 'other'
    }
    // A node that has not come to that block cannot know of it.
    const { number } = await this.#chain.block('latest', signal)
    if (number < block) {
      throw new RetryableError('node_behind', `a node is at block ${number}, before ${block}`)
    }
    const isBelow = ({ lastSeq }: MeterState): boolean => lastSeq < header.seq
    const isAbsent = isBelow(await this.meterState(meter, signal))
    if (isAbsent && isBelow(await this.#agreedState(meter, signal))) return 'absent'
    throw anchorNotServed(header.seq, block, block)
  }

  /**
   * The event of a header. Where it was last, else newest first: mostly it is in the first window.
   *
   * @throws ConfigError `another_root_anchored` when all nodes show another event of that number
   * @throws RetryableError `nodes_disagree` when one does and others show none
   */
  async #anchorLog(
    meter: Hex,
    header: BatchHeader,
    signal: AbortSignal,
    knownBlock?: number,
  ): Promise<Log> {
    const { anchorFromBlock, logSearchBlocks } = this.#config
    const { number: until } = await this.#chain.block('latest', signal)
    const from = Math.max(anchorFromBlock, until - logSearchBlocks)
    if (knownBlock !== undefined) {
      const range = { from: knownBlock, until: knownBlock }
      const { log } = await this.#shown(meter, header, range, signal)
      if (log !== undefined) return log
    }
    const { log, others, nodes } = await this.#shown(meter, header, { from, until }, signal)
    if (log !== undefined) return log
    const [other] = others
    if (other === undefined) throw anchorNotServed(header.seq, from, until)
    if (others.length < nodes) throw oneNodeAlone(header)
    throw anotherRoot(header, other.topics[3] ?? other.data)
  }

  /** The event in a range, of any node; where none shows it, what they show in its place. */
  async #shown(
    meter: Hex,
    header: BatchHeader,
    range: BlockRange,
    signal: AbortSignal,
  ): Promise<{ readonly log?: Log | undefined; readonly others: Log[]; readonly nodes: number }> {
    const isExpected = (log: Log): boolean => {
      const expected = anchorEvent(this.#config.anchorAddress, meter, header, log.logIndex)
      return log.data === expected.data && log.topics.join() === expected.topics.join()
    }
    const topics = [ANCHORED, asTopic(meter), asTopic(header.seq)]
    const filter = { addresses: [this.#config.anchorAddress], topics }
    const others: Log[] = []
    let nodes = 0
    const log = await this.#chain.ofAny(async (chain) => {
      nodes += 1
      const shown = await chain.oneLog(filter, range, 'last', signal)
      if (shown === undefined || isExpected(shown)) return shown
      others.push(shown)
      return undefined
    })
    return { log, others, nodes }
  }
}

function oneNodeAlone({ seq }: BatchHeader): RetryableError {
  const fix = 'If that lasts, one of FLARE_ENDPOINT lies or is behind: take it out.'
  return new RetryableError('nodes_disagree', `one node alone shows another batch ${seq}. ${fix}`)
}

function anotherRoot({ seq, root }: BatchHeader, actual: string): ConfigError {
  return new ConfigError(
    'another_root_anchored',
    `batch ${seq} is another one on Flare (root ${root} here, ${actual} there): another instance or ` +
      'a restored store. Stop the other one, or run "flowmeter adopt".',
  )
}

function anchorNotServed(seq: bigint, from: number, until: number): RetryableError {
  return new RetryableError(
    'anchor_event_not_found',
    `batch ${seq} is anchored, but no event of it is served for blocks ${from} to ${until}. ` +
      'Raise FLARE_LOG_SEARCH_BLOCKS, or add an RPC URL that keeps older logs.',
  )
}

function anchoredHeader(log: Log): BatchHeader {
  const event = decodeEvent(interfaces.anchor, 'UsageBatchAnchored', log)
  const [, seq, root, prevRoot, sealedAt, target, manifest] = event
  return {
    seq: batchSeq(BigInt(seq)),
    root: hash(root),
    prevRoot: hash(prevRoot),
    sealedAt: Number(sealedAt),
    target: hash(target),
    manifest: hash(manifest),
  }
}
