import { concat, keccak256 } from 'ethers'

/**
 * Flare's tree over the leaves of one round: leaves distinct and ascending at the end of a complete
 * binary heap of 2n - 1 nodes, each parent the hash of its sorted children.
 */
export class MerkleTree {
  readonly #heap: string[]
  readonly #leafCount: number

  /** @throws Error when there is no leaf: a round without attestations has no root. */
  constructor(leaves: readonly string[]) {
    const sorted = [...new Set(leaves)].sort()
    if (sorted.length === 0) throw new Error('a tree has at least one leaf')
    this.#leafCount = sorted.length
    this.#heap = [...Array<string>(sorted.length - 1), ...sorted]
    for (let i = sorted.length - 2; i >= 0; i -= 1) {
      this.#heap[i] = parentOf(this.#at(2 * i + 1), this.#at(2 * i + 2))
    }
  }

  get root(): string {
    return this.#at(0)
  }

  /** The siblings on the way from the leaf to the root; empty when it is the only leaf. */
  proof(leaf: string): string[] {
    const position = this.#heap.indexOf(leaf, this.#leafCount - 1)
    if (position < 0) throw new Error(`not a leaf: ${leaf}`)
    const siblings: string[] = []
    for (let i = position; i > 0; i = Math.floor((i - 1) / 2)) {
      siblings.push(this.#at(i % 2 === 1 ? i + 1 : i - 1))
    }
    return siblings
  }

  #at(index: number): string {
    const node = this.#heap[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    return node
  }
}

/** Hex strings of one length and case order as their numbers do. */
function parentOf(a: string, b: string): string {
  return keccak256(a < b ? concat([a, b]) : concat([b, a]))
}
