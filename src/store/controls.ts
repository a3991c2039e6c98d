import { type Kysely, sql } from 'kysely'
import type { Controls, DailyDifference } from '../ports/control-totals.js'
import { decode, encode } from './json.js'
import type { Tables } from './tables.js'

const DAY_MS = 86_400_000
const DAYS_MAX = 1_000

export function sqlControls(db: Kysely<Tables>): Controls {
  return {
    async firstDay(source, first_day) {
      await db
        .insertInto('control_sources')
        .values({ source, first_day })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      const kept = await db
        .selectFrom('control_sources')
        .select('first_day')
        .where('source', '=', source)
        .executeTakeFirstOrThrow()
      return kept.first_day
    },

    async ours(source, day) {
      const fromMs = Date.parse(`${day}T00:00:00Z`)
      const rows = await db
        .selectFrom('usage_records')
        .select(['api_key', 'model'])
        .select([
          sql<bigint | string>`count(*)`.as('requests'),
          sql<bigint | string>`sum(prompt_tokens)`.as('prompt'),
          sql<bigint | string>`sum(completion_tokens)`.as('completion'),
        ])
        .where('source', '=', source)
        // The row that replaced it is there beside it.
        .where(sql<boolean>`coalesce(excluded, '') <> 'replaced'`)
        .where('started_at_ms', '>=', BigInt(fromMs))
        .where('started_at_ms', '<', BigInt(fromMs + DAY_MS))
        .groupBy(['api_key', 'model'])
        .execute()
      return rows.map((row) => ({
        apiKey: row.api_key,
        model: row.model,
        requests: BigInt(row.requests),
        promptTokens: BigInt(row.prompt),
        completionTokens: BigInt(row.completion),
      }))
    },

    async save({ source, day, comparedAtMs, compared, differences }) {
      const row = {
        compared_at_ms: BigInt(comparedAtMs),
        compared: BigInt(compared),
        differences: encode(differences),
      }
      await db
        .insertInto('control_days')
        .values({ source, day, ...row })
        .onConflict((conflict) => conflict.columns(['source', 'day']).doUpdateSet(row))
        .execute()
    },

    async days(fromDay, source) {
      const rows = await db
        .selectFrom('control_days')
        .selectAll()
        .where('day', '>=', fromDay)
        .$if(source !== undefined, (query) => query.where('source', '=', source ?? ''))
        .orderBy('day', 'desc')
        .orderBy('source')
        .limit(DAYS_MAX)
        .execute()
      return rows.map((row) => ({
        source: row.source,
        day: row.day,
        comparedAtMs: Number(row.compared_at_ms),
        compared: Number(row.compared),
        differences: decode<readonly DailyDifference[]>(row.differences),
      }))
    },
  }
}
