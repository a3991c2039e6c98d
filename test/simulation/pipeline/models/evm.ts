import type { Random } from '../../../../devnet/litellm/random.js'
import type { Anchor, BatchHeader } from '../../../../src/domain/batch.js'
import { type Hash, type Hex, keccak, utf8, ZERO_HASH } from '../../../../src/domain/bytes.js'
import { encode } from '../../../../src/store/json.js'
import { meterOf } from './meter.js'

export type EvmBody =
  | { readonly kind: 'anchor'; readonly header: BatchHeader; readonly signature: Hex }
  | { readonly kind: 'request'; readonly anchor: Anchor }
  | { readonly kind: 'nothing' }

export interface EvmTx {
  readonly id: string
  readonly from: string
  readonly nonce: number
  readonly price: number
  readonly body: EvmBody
}

export interface Anchored {
  readonly meter: Hex
  readonly header: BatchHeader
  readonly anchor: Anchor
  /** Seconds, of its block. */
  readonly timestamp: number
}

export interface Requested {
  readonly anchor: Anchor
  readonly from: string
  readonly timestamp: number
}

export interface Receipt {
  readonly id: string
  readonly refusal: string | undefined
}

/** All that a node knows as of one block. A block never changes; a reorganisation makes others. */
export interface EvmBlock {
  readonly number: number
  readonly timestamp: number
  readonly txs: readonly EvmTx[]
  readonly receipts: readonly Receipt[]
  readonly nonces: ReadonlyMap<string, number>
  readonly anchors: readonly Anchored[]
  readonly requests: readonly Requested[]
}

const GENESIS: EvmBlock = {
  ...{ number: 0, timestamp: 0, txs: [], receipts: [] },
  ...{ nonces: new Map(), anchors: [], requests: [] },
}

/** A chain with UsageAnchor and FdcHub on it, its pool of transactions, and its reorganisations. */
export class EvmChain {
  /** What a block asks for gas; whoever offers less waits. */
  basePrice = 1
  /** Share of blocks that take nothing of the pool. */
  emptyShare = 0
  readonly #random: Random
  readonly #blocks: EvmBlock[] = [GENESIS]
  readonly #pool = new Map<string, EvmTx>()
  /** Tells blocks of one number apart. */
  #fork = 0

  constructor(random: Random) {
    this.#random = random
  }

  get pool(): readonly EvmTx[] {
    return [...this.#pool.values()]
  }

  /** The newest block of a node that is so many blocks behind. */
  view(lag = 0): EvmBlock {
    return this.#blocks[Math.max(0, this.#blocks.length - 1 - lag)] ?? GENESIS
  }

  nonce(from: string, lag = 0): number {
    return this.view(lag).nonces.get(from) ?? 0
  }

  receipt(id: string, lag = 0): Receipt | undefined {
    const { number } = this.view(lag)
    for (const block of this.#blocks) {
      const found = block.receipts.find((receipt) => receipt.id === id)
      if (found !== undefined) return block.number <= number ? found : undefined
    }
    return undefined
  }

  /** Into the pool, unless its number is used or taken by one that pays as much. */
  send(tx: EvmTx): void {
    if (tx.nonce < this.nonce(tx.from)) return
    const place = `${tx.from}/${tx.nonce}`
    const before = this.#pool.get(place)
    if (before === undefined || before.price < tx.price) this.#pool.set(place, tx)
  }

  /** A key that nobody else has, for strangers: its numbers never are in the way. */
  sendAs(from: string, body: EvmBody): void {
    const waiting = this.pool.filter((tx) => tx.from === from).length
    const nonce = this.nonce(from) + waiting
    const id = keccak(utf8(`${from} ${nonce} ${encode(body)}`))
    this.send({ id, from, nonce, price: 1_000, body })
  }

  mine(timestamp: number): void {
    const parent = this.view()
    const isEmpty = this.#random.next() < this.emptyShare
    const txs = isEmpty ? [] : this.#takeFromPool()
    this.#blocks.push(execute(parent, txs, timestamp, this.#fork))
    for (const [place, tx] of this.#pool) {
      if (tx.nonce < this.nonce(tx.from)) this.#pool.delete(place)
    }
  }

  /** The newest blocks are replaced. What was in them comes back in another order, or is lost. */
  reorganise(depth: number): void {
    const gone = this.#blocks.splice(Math.max(1, this.#blocks.length - depth))
    this.#fork += 1
    for (const tx of gone.flatMap(({ txs }) => txs)) {
      if (this.#random.next() < 0.8) this.send(tx)
    }
    for (const { timestamp } of gone) {
      if (this.#random.next() < 0.7) this.mine(timestamp)
      else this.#blocks.push(execute(this.view(), [], timestamp, this.#fork))
    }
  }

  /** The pool loses what waits in it. */
  forget(): void {
    this.#pool.clear()
  }

  #takeFromPool(): EvmTx[] {
    const taken: EvmTx[] = []
    const nonces = new Map(this.view().nonces)
    const waiting = shuffled(this.pool, this.#random)
    for (let found = true; found; ) {
      found = false
      for (const tx of waiting) {
        const next = nonces.get(tx.from) ?? 0
        if (tx.nonce !== next || tx.price < this.basePrice || taken.includes(tx)) continue
        taken.push(tx)
        nonces.set(tx.from, next + 1)
        found = true
      }
    }
    for (const tx of taken) this.#pool.delete(`${tx.from}/${tx.nonce}`)
    return taken
  }
}

function execute(
  parent: EvmBlock,
  txs: readonly EvmTx[],
  timestamp: number,
  fork: number,
): EvmBlock {
  const number = parent.number + 1
  const nonces = new Map(parent.nonces)
  const [anchors, requests] = [[...parent.anchors], [...parent.requests]]
  const receipts = txs.map((tx, place): Receipt => {
    nonces.set(tx.from, tx.nonce + 1)
    const logIndex = 3 * place + (fork % 3)
    const refusal = runTx(tx, { number, timestamp, logIndex, anchors, requests })
    return { id: tx.id, refusal }
  })
  return { number, timestamp, txs, receipts, nonces, anchors, requests }
}

interface Place {
  readonly number: number
  readonly timestamp: number
  readonly logIndex: number
  readonly anchors: Anchored[]
  readonly requests: Requested[]
}

/** UsageAnchor and FdcHub. Returns why the call reverts. */
function runTx({ id, from, body }: EvmTx, place: Place): string | undefined {
  const { number: blockNumber, timestamp, logIndex, anchors, requests } = place
  if (body.kind === 'nothing') return undefined
  if (body.kind === 'request') {
    requests.push({ anchor: body.anchor, from, timestamp })
    return undefined
  }
  const { header, signature } = body
  const meter = meterOf(header, signature)
  const last = lastOf(anchors, meter)
  if (header.seq !== last.seq + 1n) return 'SeqNotNext'
  if (header.prevRoot !== last.root) return 'PrevRootNotLast'
  const anchor = { txHash: id as Hash, blockNumber, logIndex }
  anchors.push({ meter, header, anchor, timestamp })
  return undefined
}

export function lastOf(
  anchors: readonly Anchored[],
  meter: Hex,
): { readonly seq: bigint; readonly root: Hash } {
  const last = anchors.findLast((one) => one.meter === meter)?.header
  return { seq: last?.seq ?? 0n, root: last?.root ?? ZERO_HASH }
}

export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const rest = [...items]
  const order: Item[] = []
  while (rest.length > 0) order.push(...rest.splice(random.whole(0, rest.length - 1), 1))
  return order
}
