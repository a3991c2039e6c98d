import { type Kysely, sql } from 'kysely'
import { modelId } from '../domain/ids.js'
import { nameOfRecord } from '../ports/payers.js'
import type { SealedUsages } from '../ports/sealed-usage.js'
import { accountOf } from './columns.js'
import { slicesOf } from './in-transaction.js'
import type { Tables } from './tables.js'

const ROWS_A_STATEMENT = 500
const DAY_MS = 86_400_000n

export function sqlSealedUsages(db: Kysely<Tables>): SealedUsages {
  return {
    async ofSource(source, field) {
      const rows = await db
        .selectFrom('counted_records')
        .select([
          'account',
          'period_start',
          'model_id',
          sql.ref<string>(field).as('payer'),
          sql<bigint>`min(started_at_ms)`.as('at'),
          sql<bigint | string>`sum(prompt_tokens)`.as('prompt'),
          sql<bigint | string>`sum(cached_prompt_tokens)`.as('cached'),
          sql<bigint | string>`sum(completion_tokens)`.as('completion'),
          sql<bigint | string>`count(*)`.as('requests'),
        ])
        .where('source', '=', source)
        // Days: whatever the length of another vault's periods, all of a group is in one of them.
        .groupBy([
          ...(['account', 'period_start', 'model_id'] as const),
          sql.ref(field),
          sql`started_at_ms / ${sql.lit(DAY_MS)}`,
        ])
        .execute()
      return rows.map((row) => ({
        source,
        payer: row.payer,
        atMs: Number(row.at),
        account: accountOf(row.account),
        periodStart: Number(row.period_start),
        modelId: modelId(Number(row.model_id)),
        promptTokens: BigInt(row.prompt),
        cachedPromptTokens: BigInt(row.cached),
        completionTokens: BigInt(row.completion),
        requests: BigInt(row.requests),
      }))
    },

    async known(keys) {
      const found = new Set<string>()
      for (const source of new Set(keys.map((key) => key.source))) {
        const ids = keys.filter((key) => key.source === source).map(({ requestId }) => requestId)
        for (const some of slicesOf(ids, ROWS_A_STATEMENT)) {
          const rows = await db
            .selectFrom('usage_records')
            .select('request_id')
            .where('source', '=', source)
            .where('request_id', 'in', some)
            .execute()
          for (const { request_id: requestId } of rows) {
            found.add(nameOfRecord({ source, requestId }))
          }
        }
      }
      return found
    },
  }
}
