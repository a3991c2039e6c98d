import { type Kysely, sql } from 'kysely'
import { RetryableError } from '../domain/errors.js'
import type { Readings } from '../ports/source-kind.js'
import type { Reading } from '../ports/usage-source.js'
import type { Tables } from './tables.js'

export function sqlReadings(db: Kysely<Tables>): Readings {
  return {
    async of(source, fromMs, untilMs) {
      const rows = await db
        .selectFrom('readings')
        .selectAll()
        .where('source', '=', source)
        .where('bucket_start_ms', '>=', BigInt(fromMs))
        .where('bucket_start_ms', '<', BigInt(untilMs))
        .execute()
      return rows.map((row) => ({
        bucketStartMs: Number(row.bucket_start_ms),
        user: row.user,
        model: row.model,
        promptTokens: row.prompt_tokens,
        cachedPromptTokens: row.cached_prompt_tokens,
        completionTokens: row.completion_tokens,
        increases: Number(row.increases),
      }))
    },
  }
}

/**
 * Part of saving a slice: a reading without its record, or the other way round, would miscount. A
 * re-scan and a reading may have looked at one sum at once; then the later one is undone whole.
 *
 * @throws RetryableError `reading_superseded`
 */
export async function saveReadings(
  tx: Kysely<Tables>,
  source: string,
  readings: readonly Reading[],
): Promise<void> {
  for (const reading of readings) {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('readings')
      .values({
        source,
        bucket_start_ms: BigInt(reading.bucketStartMs),
        user: reading.user,
        model: reading.model,
        prompt_tokens: reading.promptTokens,
        cached_prompt_tokens: reading.cachedPromptTokens,
        completion_tokens: reading.completionTokens,
        increases: BigInt(reading.increases),
      })
      .onConflict((conflict) =>
        conflict
          .columns(['source', 'bucket_start_ms', 'user', 'model'])
          .doUpdateSet({
            prompt_tokens: sql`excluded.prompt_tokens`,
            cached_prompt_tokens: sql`excluded.cached_prompt_tokens`,
            completion_tokens: sql`excluded.completion_tokens`,
            increases: sql`excluded.increases`,
          })
          .where(sql<boolean>`readings.increases = excluded.increases - 1`),
      )
      .executeTakeFirstOrThrow()
    if (numInsertedOrUpdatedRows === 1n) continue
    throw new RetryableError(
      'reading_superseded',
      'these sums were counted by another reading meanwhile: they are read again',
    )
  }
}
