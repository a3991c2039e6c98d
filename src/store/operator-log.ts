import type { Kysely, Selectable } from 'kysely'
import { hash, ZERO_HASH } from '../domain/bytes.js'
import { logEntryHash } from '../domain/operator-log.js'
import type { Clock } from '../ports/clock.js'
import type { OperatorLog, StoredLogEntry } from '../ports/operator-log.js'
import { inTransaction } from './in-transaction.js'
import { decode, encode } from './json.js'
import type { OperatorLogTable, Tables } from './tables.js'

export function sqlOperatorLog(db: Kysely<Tables>, clock: Clock): OperatorLog {
  return {
    append: (did) =>
      inTransaction(db, async (tx) => {
        const last = await newest(tx)
        const id = (last?.id ?? 0) + 1
        const entry = { ...did, id, atMs: clock.now(), prevHash: last?.hash ?? ZERO_HASH }
        const stored = { ...entry, hash: logEntryHash(entry) }
        await tx.insertInto('operator_log').values(logRow(stored)).execute()
        return stored
      }),

    head: async () => (await newest(db))?.hash ?? ZERO_HASH,

    async has(entryHash) {
      const found = db.selectFrom('operator_log').select('log_id').where('hash', '=', entryHash)
      return (await found.executeTakeFirst()) !== undefined
    },

    async entries(fromId, limit) {
      const rows = await db
        .selectFrom('operator_log')
        .selectAll()
        .where('log_id', '>=', BigInt(fromId))
        .orderBy('log_id')
        .limit(limit)
        .execute()
      return rows.map(logEntry)
    },
  }
}

async function newest(db: Kysely<Tables>): Promise<StoredLogEntry | undefined> {
  const row = await db
    .selectFrom('operator_log')
    .selectAll()
    .orderBy('log_id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : logEntry(row)
}

function logRow(entry: StoredLogEntry): OperatorLogTable {
  const { who, verb, reason } = entry
  return {
    ...{ who, verb, reason },
    log_id: BigInt(entry.id),
    at_ms: BigInt(entry.atMs),
    arguments: encode(entry.arguments),
    prev_hash: entry.prevHash,
    hash: entry.hash,
  }
}

function logEntry(row: Selectable<OperatorLogTable>): StoredLogEntry {
  const { who, verb, reason } = row
  return {
    ...{ who, verb, reason },
    id: Number(row.log_id),
    atMs: Number(row.at_ms),
    arguments: decode(row.arguments),
    prevHash: hash(row.prev_hash),
    hash: hash(row.hash),
  }
}
