import { type Kysely, type Selectable, sql } from 'kysely'
import { storedBatchId } from '../domain/ids.js'
import type { SeenCorrection } from '../ports/corrections.js'
import { accountOf } from './columns.js'
import type { SeenCorrectionsTable, Tables } from './tables.js'

/** Names of the columns of an outer query that say which (vault, period) is meant. */
export interface EntryColumns {
  readonly account: string
  readonly periodStart: string
}

/**
 * On the chain, and no recorded correction of the same (vault, period) is that one or later; nor has an
 * operator acknowledged it. Until then nothing of the (vault, period) is sealed.
 */
export function unrecordedCorrections(db: Kysely<Tables>) {
  return db
    .selectFrom('seen_corrections as u')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('corrections as c')
            .select('c.correction_id')
            .whereRef('c.account', '=', 'u.account')
            .whereRef('c.period_start', '=', 'u.period_start')
            .whereRef('c.sealed_height', '>=', 'u.height'),
        ),
      ),
    )
    .where('u.acknowledged_at_ms', 'is', null)
}

/** Of the (vault, period) in columns of the outer query. */
export function unrecordedAt(db: Kysely<Tables>, { account, periodStart }: EntryColumns) {
  return unrecordedCorrections(db)
    .select('u.tx_id')
    .whereRef('u.account', '=', sql.ref(account))
    .whereRef('u.period_start', '=', sql.ref(periodStart))
}

export function seenCorrection(row: Selectable<SeenCorrectionsTable>): SeenCorrection {
  return {
    txId: row.tx_id,
    accountNumber: accountOf(row.account),
    periodStart: Number(row.period_start),
    afterSeq: storedBatchId(row.after_seq),
    billable: BigInt(row.billable),
    reason: row.reason,
    height: Number(row.height),
  }
}
