import type { Kysely, Selectable } from 'kysely'
import type { Purpose } from '../domain/ids.js'
import type { Clock } from '../ports/clock.js'
import type { Fate, SignedTx, TxId } from '../ports/lane.js'
import type { Outbox, SavedTx } from '../ports/stores.js'
import { tellSubmission } from '../runtime/measures.js'
import { kept } from './kept.js'
import type { OutboxTable, Tables } from './tables.js'

const openTx = kept((db, lane: string) =>
  db.selectFrom('outbox').selectAll().where('lane', '=', lane).where('fate', '=', 'open'),
)

export function sqlOutbox(db: Kysely<Tables>, clock: Clock): Outbox {
  return {
    async openOn(lane) {
      const [row] = await openTx(db, lane)
      return row === undefined ? undefined : savedTx(row)
    },

    async save(purpose, lane, tx) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('outbox')
        .values({
          tx_id: tx.id,
          lane,
          purpose,
          tx_bytes: tx.bytes,
          saved_at_ms: BigInt(clock.now()),
          fate: 'open',
          cost: tx.cost?.toString() ?? null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow()
      const isOpen = (numInsertedOrUpdatedRows ?? 0n) > 0n || (await reopen(db, purpose, lane, tx))
      if (isOpen) tellSubmission({ purpose, lane, txId: tx.id, fate: 'open' })
      return isOpen
    },

    async close(tx, fate, landedId) {
      await db
        .updateTable('outbox')
        .set({ fate, landed_id: landedId ?? null })
        .where('tx_id', '=', tx.id)
        .where('fate', '=', 'open')
        .execute()
      tellSubmission({ purpose: tx.purpose, lane: tx.lane, txId: landedId ?? tx.id, fate })
    },

    async addVariant({ id }, { role, tx }) {
      const open = await db
        .selectFrom('outbox')
        .select('tx_id')
        .where('tx_id', '=', id)
        .where('fate', '=', 'open')
        .executeTakeFirst()
      if (open === undefined) return false
      const { before } = await db
        .selectFrom('outbox_variants')
        .select(({ fn }) => fn.countAll<bigint>().as('before'))
        .where('original_id', '=', id)
        .executeTakeFirstOrThrow()
      await db
        .insertInto('outbox_variants')
        .values({
          tx_id: tx.id,
          original_id: id,
          role,
          position: BigInt(before),
          tx_bytes: tx.bytes,
          saved_at_ms: BigInt(clock.now()),
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      return true
    },

    async variants({ id, bytes }) {
      const rows = await db
        .selectFrom('outbox_variants')
        .select(['tx_id', 'tx_bytes'])
        .where('original_id', '=', id)
        .where('role', '=', 'variant')
        .orderBy('position')
        .execute()
      const later = rows.map((row) => ({ id: row.tx_id as TxId, bytes: row.tx_bytes }))
      return [{ id, bytes }, ...later]
    },

    async spentSince(lane, sinceMs) {
      const rows = await db
        .selectFrom('outbox')
        .select('cost')
        .where('lane', '=', lane)
        .where('saved_at_ms', '>=', BigInt(sinceMs))
        // `gone` is what a node said, and one that lies could have it spent again and again.
        .where('fate', '!=', 'refused')
        .where('cost', 'is not', null)
        .execute()
      return rows.reduce((sum, { cost }) => sum + BigInt(cost ?? 0), 0n)
    },

    async landed(purpose) {
      const row = await db
        .selectFrom('outbox')
        .selectAll()
        .where('purpose', '=', purpose)
        .where('fate', '=', 'landed')
        .orderBy('saved_at_ms', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row && { id: (row.landed_id ?? row.tx_id) as TxId, bytes: row.tx_bytes }
    },

    async refused(purposePrefix) {
      const rows = await db
        .selectFrom('outbox')
        .selectAll()
        .where('fate', '=', 'refused')
        .where('purpose', 'like', `${purposePrefix}%`)
        .execute()
      return rows.map(savedTx)
    },

    async newest(limit) {
      const rows = await db
        .selectFrom('outbox')
        .selectAll()
        .orderBy('saved_at_ms', 'desc')
        .limit(limit)
        .execute()
      return rows.map(savedTx)
    },
  }
}

/**
 * A chain that reorganised may have taken the transaction back. A local key gives the same call the
 * same bytes and the same id when it signs again: it is sent again, unless another one is open. (With
 * a key elsewhere it is another transaction under the same number, and was just saved as one.)
 */
async function reopen(
  db: Kysely<Tables>,
  purpose: Purpose,
  lane: string,
  tx: SignedTx,
): Promise<boolean> {
  const open = db
    .selectFrom('outbox as other')
    .select('other.tx_id')
    .where('other.fate', '=', 'open')
    .where((where) =>
      where.or([where('other.lane', '=', lane), where('other.purpose', '=', purpose)]),
    )
  const { numUpdatedRows } = await db
    .updateTable('outbox')
    .set({ purpose, lane, fate: 'open' })
    .where('tx_id', '=', tx.id)
    .where('fate', '!=', 'open')
    .where(({ not, exists }) => not(exists(open)))
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

function savedTx(row: Selectable<OutboxTable>): SavedTx {
  return {
    id: row.tx_id as TxId,
    bytes: row.tx_bytes,
    purpose: row.purpose as Purpose,
    lane: row.lane,
    fate: row.fate as Fate,
    ...(row.cost === null ? {} : { cost: BigInt(row.cost) }),
    ...(row.landed_id === null ? {} : { landedId: row.landed_id as TxId }),
  }
}
