import type { Kysely } from 'kysely'
import type { Tables } from './tables.js'

/** A transaction of its own, unless it is already part of one. */
export function inTransaction<Result>(
  db: Kysely<Tables>,
  work: (tx: Kysely<Tables>) => Promise<Result>,
): Promise<Result> {
  return db.isTransaction ? work(db) : db.transaction().execute(work)
}

/** `[1, 2, 3]` as `[[1, 2], [3]]`: engines bind a limited number of variables a statement. */
export function slicesOf<Item>(items: readonly Item[], length: number): Item[][] {
  const slices: Item[][] = []
  for (let start = 0; start < items.length; start += length) {
    slices.push(items.slice(start, start + length))
  }
  return slices
}
