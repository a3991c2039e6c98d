import type { Compilable, CompiledQuery, Kysely } from 'kysely'
import { assert } from '../domain/errors.js'
import type { Tables } from './tables.js'

/** Where a value goes, while a query is built without one. */
class Slot {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/**
 * A query that is built once for a number of values and asked with others each time: to build one
 * takes longer than SQLite takes to answer it. `build` sees a slot in place of each value, so it must only hand them on.
 */
export function kept<Values extends readonly unknown[], Row>(
  build: (db: Kysely<Tables>, ...values: Values) => Compilable<Row>,
): (db: Kysely<Tables>, ...values: Values) => Promise<Row[]> {
  const queries = new Map<number, CompiledQuery<Row>>()
  return async (db, ...values) => {
    const query = queries.get(values.length) ?? buildOnce(db, build, values.length)
    queries.set(values.length, query)
    const parameters = query.parameters.map((one) =>
      one instanceof Slot ? values[one.index] : one,
    )
    const { rows } = await db.executeQuery<Row>({ ...query, parameters })
    return rows
  }
}

function buildOnce<Values extends readonly unknown[], Row>(
  db: Kysely<Tables>,
  build: (db: Kysely<Tables>, ...values: Values) => Compilable<Row>,
  length: number,
): CompiledQuery<Row> {
  const slots = Array.from({ length }, (_, index) => new Slot(index))
  const query = build(db, ...(slots as unknown as Values)).compile()
  const found = new Set(query.parameters.filter((one) => one instanceof Slot))
  assert(found.size === length, 'a kept query hands on each value that it is given')
  return query
}
