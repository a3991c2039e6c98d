import { type Kysely, sql } from 'kysely'
import type { BatchLife, BatchState } from '../domain/batch.js'
import { hash } from '../domain/bytes.js'
import { type BatchId, batchName, storedBatchId } from '../domain/ids.js'
import type { BatchProof } from '../domain/proof.js'
import type { Fate } from '../ports/lane.js'
import type { BatchView, Views } from '../ports/views.js'
import { accountOf, accountText, count } from './columns.js'
import { decode } from './json.js'
import type { Tables } from './tables.js'

const TRANSACTIONS_A_BATCH_MAX = 20

export function sqlViews(db: Kysely<Tables>): Views {
  return {
    async usage({ fromMs, untilMs, bucketMs, modelsMax, accounts }) {
      const counted = () => {
        const rows = db
          .selectFrom('usage_records')
          // Named one by one, since that is how they are indexed.
          .where('source', 'in', db.selectFrom('sources').select('name'))
          .where('excluded', 'is', null)
          .where('started_at_ms', '>=', BigInt(fromMs))
          .where('started_at_ms', '<', BigInt(untilMs))
        return accounts === undefined
          ? rows
          : rows.where('account', 'in', accounts.map(accountText))
      }
      if (accounts?.length === 0) return []
      const top = await counted()
        .select('model')
        .groupBy('model')
        .orderBy(sql`sum(prompt_tokens + completion_tokens)`, 'desc')
        .orderBy('model')
        .limit(modelsMax)
        .execute()
      if (top.length === 0) return []
      const names = sql.join(top.map(({ model }) => model))
      const rows = await counted()
        .select([
          sql<bigint>`started_at_ms / ${BigInt(bucketMs)}`.as('bucket'),
          sql<string | null>`case when model in (${names}) then model end`.as('named'),
          sql<bigint>`sum(prompt_tokens)`.as('prompt'),
          sql<bigint>`sum(cached_prompt_tokens)`.as('cached'),
          sql<bigint>`sum(completion_tokens)`.as('completion'),
          sql<bigint>`count(*)`.as('requests'),
        ])
        .groupBy(['bucket', 'named'])
        .orderBy('bucket')
        .orderBy('named')
        .execute()
      return rows.map((row) => ({
        startMs: Number(row.bucket) * bucketMs,
        model: row.named ?? undefined,
        promptTokens: BigInt(row.prompt),
        cachedPromptTokens: BigInt(row.cached),
        completionTokens: BigInt(row.completion),
        requests: count(row.requests),
      }))
    },

    async accounts(after, limit, among) {
      if (among?.length === 0) return []
      let vaults = db.selectFrom('books').select('name').where('kind', '=', 'vault')
      if (after !== undefined) vaults = vaults.where('name', '>', accountText(after))
      if (among !== undefined) vaults = vaults.where('name', 'in', among.map(accountText))
      const rows = await vaults.orderBy('name').limit(limit).execute()
      return rows.map(({ name }) => accountOf(name))
    },

    async batches(before, limit) {
      let page = db
        .selectFrom('batches')
        .select(['seq', 'state', 'root', 'sealed_at', 'changed_at_ms', 'life', 'proof'])
        .select(
          sql<bigint>`(select count(*) from entries where entries.seq = batches.seq)`.as('held'),
        )
      if (before !== undefined) page = page.where('seq', '<', before)
      const rows = await page.orderBy('seq', 'desc').limit(limit).execute()
      return Promise.all(
        rows.map(async (row): Promise<BatchView> => {
          const life = decode<BatchLife>(row.life)
          const proof = row.proof === null ? undefined : decode<BatchProof>(row.proof)
          return {
            id: storedBatchId(row.seq),
            state: row.state as BatchState,
            root: hash(row.root),
            sealedAtS: Number(row.sealed_at),
            changedAtMs: Number(row.changed_at_ms),
            entries: count(row.held),
            round: proof?.rootProof.round,
            ...anchorOf(life),
            transactions: await transactionsOf(db, storedBatchId(row.seq)),
          }
        }),
      )
    },

    async fates(sinceMs) {
      const rows = await db
        .selectFrom('outbox')
        .select(['lane', 'fate', sql<bigint>`count(*)`.as('transactions')])
        .where('saved_at_ms', '>=', BigInt(sinceMs))
        .groupBy(['lane', 'fate'])
        .orderBy('lane')
        .orderBy('fate')
        .execute()
      return rows.map(({ lane, fate, transactions }) => ({
        lane,
        fate: fate as Fate,
        count: count(transactions),
      }))
    },

    async sealedSince(sinceMs) {
      const row = await db
        .selectFrom('batches')
        .select(sql<bigint>`count(*)`.as('sealed'))
        .where('sealed_at', '>=', BigInt(Math.ceil(sinceMs / 1_000)))
        .executeTakeFirstOrThrow()
      return count(row.sealed)
    },
  }
}

/** What is known of its anchor: until it is accepted its life says so. */
function anchorOf(life: BatchLife): Pick<BatchView, 'anchorTx' | 'missedRounds'> {
  if (life.state === 'parked') return anchorOf(life.from)
  if (!('anchor' in life)) return { anchorTx: undefined, missedRounds: 0 }
  return { anchorTx: life.anchor.txHash, missedRounds: life.missedRounds.length }
}

async function transactionsOf(db: Kysely<Tables>, id: BatchId): Promise<BatchView['transactions']> {
  const name = batchName(id)
  // A slash sorts right before 0: what begins with `settle/7/` is between these two.
  const under = (verb: string) => [`${verb}/${name}/`, `${verb}/${name}0`] as const
  const [fromRequest, untilRequest] = under('request')
  const [fromSettle, untilSettle] = under('settle')
  const rows = await db
    .selectFrom('outbox')
    .select(['purpose', 'tx_id', 'landed_id', 'fate'])
    .where((where) =>
      where.or([
        where('purpose', 'in', [`anchor/${name}`, `accept/${name}`]),
        where.and([where('purpose', '>=', fromRequest), where('purpose', '<', untilRequest)]),
        where.and([where('purpose', '>=', fromSettle), where('purpose', '<', untilSettle)]),
      ]),
    )
    .orderBy('saved_at_ms')
    .orderBy('tx_id')
    .limit(TRANSACTIONS_A_BATCH_MAX)
    .execute()
  return rows.map(({ purpose, tx_id, landed_id, fate }) => ({
    purpose,
    id: landed_id ?? tx_id,
    fate: fate as Fate,
  }))
}
