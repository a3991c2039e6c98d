import { type Hash, keccak } from '../../domain/bytes.js'
import { assert } from '../../domain/errors.js'

/**
 * A round's tree as Flare builds it: distinct leaves, ascending, at the end of a complete binary
 * heap of 2n − 1 nodes, each parent the hash of its two sorted children. (Our own trees pair
 * neighbours level by level, which gives other roots; a path folds the same way in both.)
 */
export class FlareTree {
  readonly #heap: readonly Hash[]
  readonly #leafCount: number

  constructor(leaves: readonly Hash[]) {
    const sorted = [...new Set(leaves)].sort()
    assert(sorted.length > 0, 'a tree has at least one leaf')
    this.#leafCount = sorted.length
    const heap: Hash[] = [...new Array<Hash>(sorted.length - 1), ...sorted]
    for (let at = sorted.length - 2; at >= 0; at -= 1) {
      heap[at] = parentOf(nodeAt(heap, 2 * at + 1), nodeAt(heap, 2 * at + 2))
    }
    this.#heap = heap
  }

  get root(): Hash {
    return nodeAt(this.#heap, 0)
  }

  /** From the leaf up to the root; undefined when it is not in the tree. */
  path(leaf: Hash): Hash[] | undefined {
    const start = this.#heap.indexOf(leaf, this.#leafCount - 1)
    if (start === -1) return undefined
    const siblings: Hash[] = []
    for (let at = start; at > 0; at = Math.floor((at - 1) / 2)) {
      siblings.push(nodeAt(this.#heap, at % 2 === 1 ? at + 1 : at - 1))
    }
    return siblings
  }
}

/** Compared as text of one case, hashes order as their numbers do. */
function parentOf(a: Hash, b: Hash): Hash {
  return a < b ? keccak(a, b) : keccak(b, a)
}

function nodeAt(heap: readonly Hash[], at: number): Hash {
  const node = heap[at]
  assert(node !== undefined, `no node ${at}`)
  return node
}
