import { type Hash, keccak } from './bytes.js'
import { assert } from './errors.js'

/** Sorted pairs, so a path needs no left and right. The same fold checks Flare's own trees. */
function node(a: Hash, b: Hash): Hash {
  return a < b ? keccak(a, b) : keccak(b, a)
}

/** Pairs neighbours level by level; an odd last node moves up unchanged. */
export function merkleRoot(nodes: readonly Hash[]): Hash {
  const [first] = nodes
  assert(first !== undefined, 'a tree has at least one node')
  return nodes.length === 1 ? first : merkleRoot(pairUp(nodes))
}

/** The siblings from the node at `index` up to the root. */
export function merklePath(nodes: readonly Hash[], index: number): Hash[] {
  assert(index >= 0 && index < nodes.length, `no node ${index} of ${nodes.length}`)
  if (nodes.length === 1) return []
  const sibling = nodes[index % 2 === 0 ? index + 1 : index - 1]
  const above = merklePath(pairUp(nodes), Math.floor(index / 2))
  return sibling === undefined ? above : [sibling, ...above]
}

export function rootFromPath(start: Hash, path: readonly Hash[]): Hash {
  return path.reduce((below, sibling) => node(below, sibling), start)
}

function pairUp(level: readonly Hash[]): Hash[] {
  return level.flatMap((left, i) => {
    if (i % 2 === 1) return []
    const right = level[i + 1]
    return right === undefined ? left : node(left, right)
  })
}
