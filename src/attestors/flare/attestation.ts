import type { Anchor } from '../../domain/batch.js'
import { type Hash, type Hex, keccak } from '../../domain/bytes.js'
import { rootFromPath } from '../../domain/merkle.js'
import type { AttestedAnchor } from '../../domain/proof.js'
import type { ProofAnswer } from '../../ports/attestor.js'
import type { DaLayer } from './da-layer.js'
import { type AttestedEvent, attestedIn } from './request.js'
import { FlareTree } from './tree.js'

/** An attestation as it has to be. */
export interface Wanted {
  readonly event: AttestedEvent
  readonly anchor: Anchor
  readonly round: number
  /** From the Relay. */
  readonly root: Hash
  readonly request: Hex
}

/** With the path from the attestation's leaf up to the round's root. */
export interface Attestation {
  readonly attested: AttestedAnchor
  readonly path: readonly Hash[]
}

export type NotFound = Exclude<ProofAnswer, { readonly outcome: 'proven' }>

/** Finds attestations at the DA layer, and believes nothing that does not fold to the root. */
export class Attestations {
  readonly #daLayer: DaLayer
  readonly #sourceId: string
  /** Of a round whose proof was not there: its whole tree is what the next request is spent on. */
  #treeIsDueOf: number | undefined

  constructor(daLayer: DaLayer, sourceId: string) {
    this.#daLayer = daLayer
    this.#sourceId = sourceId
  }

  async find(wanted: Wanted, signal: AbortSignal): Promise<Attestation | NotFound> {
    const { round, root, request } = wanted
    if (this.#treeIsDueOf !== round) {
      const served = await this.#daLayer.proof(round, request, signal)
      if (served.kind === 'unavailable') return { outcome: 'pending', why: served.why }
      if (served.kind === 'served') {
        const { response, path } = served.item
        const attested = this.#attested(response, wanted)
        if (attested !== undefined && rootFromPath(keccak(response), path) === root) {
          return { attested, path }
        }
      }
    }
    // It has none, or not the right one. Only the whole tree can tell whether there is one. Where the
    // rate leaves one request at a time, proofs alone must not use them all up.
    const all = await this.#daLayer.responses(round, signal)
    const isUnasked = all.kind === 'unavailable' && all.isUnasked
    this.#treeIsDueOf = isUnasked ? round : undefined
    if (all.kind === 'unavailable') return { outcome: 'pending', why: all.why }
    return this.#findInTree(all.kind === 'served' ? all.item : [], wanted)
  }

  /** A list that does not give the round's root is not the whole tree, and proves no absence. */
  #findInTree(responses: readonly Hex[], wanted: Wanted): Attestation | NotFound {
    const leaves = responses.map((response) => keccak(response))
    const tree = leaves.length === 0 ? undefined : new FlareTree(leaves)
    if (tree?.root !== wanted.root) {
      const why = `DA layer: it does not serve the whole tree of round ${wanted.round} yet`
      return { outcome: 'pending', why }
    }
    for (const response of responses) {
      const attested = this.#attested(response, wanted)
      const path = attested && tree.path(keccak(response))
      if (attested !== undefined && path !== undefined) return { attested, path }
    }
    return { outcome: 'missed' }
  }

  #attested(response: Hex, { event, anchor, round }: Wanted): AttestedAnchor | undefined {
    const attested = attestedIn(response, event, this.#sourceId)
    const isOurs =
      attested?.round === round &&
      attested.txHash === anchor.txHash &&
      attested.blockNumber === BigInt(anchor.blockNumber)
    return isOurs ? attested : undefined
  }
}
