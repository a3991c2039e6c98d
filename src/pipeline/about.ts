import { batchName } from '../domain/ids.js'
import type { StoredBatch } from '../ports/stores.js'
import { tellSubject } from '../runtime/measures.js'

/** Tells whoever measures that the step in hand is about this batch. */
export function aboutBatch({ id, header, life, changedAtMs }: StoredBatch): void {
  const { root, sealedAt } = header
  const batch = { name: batchName(id), root, sealedAtMs: sealedAt * 1000 }
  tellSubject({ batch, state: life.state, sinceMs: changedAtMs })
}
