import { type Kysely, sql } from 'kysely'
import type { EntryColumns } from './seen-corrections.js'
import type { Tables } from './tables.js'

/** Corrections that wait for the chain, of the (vault, period) in columns of the outer query. */
export function pendingCorrection(db: Kysely<Tables>, { account, periodStart }: EntryColumns) {
  return db
    .selectFrom('corrections as p')
    .select('p.correction_id')
    .whereRef('p.account', '=', sql.ref(account))
    .whereRef('p.period_start', '=', sql.ref(periodStart))
    .where('p.sealed_height', 'is', null)
}
