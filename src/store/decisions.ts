import { type Kysely, type Selectable, sql } from 'kysely'
import type { Clock } from '../ports/clock.js'
import type { Decision, Decisions } from '../ports/decisions.js'
import { nameOfRecord } from '../ports/payers.js'
import { count } from './columns.js'
import { decided } from './decided.js'
import { inTransaction, slicesOf } from './in-transaction.js'
import { usageRecord } from './records.js'
import type { RecordDecisionsTable, Tables } from './tables.js'

const ROWS_A_STATEMENT = 500

export function sqlDecisions(db: Kysely<Tables>, clock: Clock): Decisions {
  return {
    async undecided(ruleVersion, heldBeforeMs, limit) {
      const rows = await db
        .selectFrom('usage_records')
        .leftJoin('record_decisions', decided)
        .selectAll('usage_records')
        .where('batch_seq', 'is', null)
        .where('excluded', 'is', null)
        .where((where) =>
          where.or([
            where('rule_version', 'is', null),
            where('rule_version', '!=', ruleVersion),
            where.and([
              where('verdict', '=', 'hold'),
              where('decided_at_ms', '<', BigInt(heldBeforeMs)),
            ]),
          ]),
        )
        .orderBy('started_at_ms')
        .orderBy('request_id')
        .limit(limit)
        .execute()
      return rows.map(usageRecord)
    },

    save: (ruleVersion, decisions) =>
      inTransaction(db, async (tx) => {
        for (const { key, decision } of decisions) {
          // Only a record that waits: what a batch was made of stays as it was. The next
          // attribution takes it for new.
          const { numUpdatedRows } = await tx
            .updateTable('usage_records')
            .set({ mapping_version: null })
            .where('source', '=', key.source)
            .where('request_id', '=', key.requestId)
            .where('batch_seq', 'is', null)
            .executeTakeFirstOrThrow()
          if (numUpdatedRows === 0n) continue
          const values = { ...columnsOf(decision), rule_version: ruleVersion }
          const row = { ...values, decided_at_ms: BigInt(clock.now()) }
          await tx
            .insertInto('record_decisions')
            .values({ decided_source: key.source, decided_request_id: key.requestId, ...row })
            .onConflict((conflict) =>
              conflict.columns(['decided_source', 'decided_request_id']).doUpdateSet(row),
            )
            .execute()
        }
      }),

    async of(ruleVersion, keys) {
      const found = new Map<string, Decision>()
      const sources = new Set(keys.map(({ source }) => source))
      for (const source of sources) {
        const ids = keys.filter((key) => key.source === source).map(({ requestId }) => requestId)
        for (const some of slicesOf(ids, ROWS_A_STATEMENT)) {
          const rows = await db
            .selectFrom('record_decisions')
            .selectAll()
            .where('decided_source', '=', source)
            .where('decided_request_id', 'in', some)
            .where('rule_version', '=', ruleVersion)
            .execute()
          for (const row of rows) {
            found.set(nameOfRecord({ source, requestId: row.decided_request_id }), decisionOf(row))
          }
        }
      }
      return found
    },

    async counts() {
      const rows = await db
        .selectFrom('record_decisions')
        .select(['verdict', sql<bigint>`count(*)`.as('records')])
        .where('verdict', '!=', 'count')
        .groupBy('verdict')
        .execute()
      const of = (verdict: string) => count(rows.find((row) => row.verdict === verdict)?.records)
      return { excluded: of('exclude'), capped: of('cap'), held: of('hold') }
    },

    async list(limit) {
      const rows = await db
        .selectFrom('record_decisions')
        .selectAll()
        .where('verdict', '!=', 'count')
        .orderBy('decided_at_ms', 'desc')
        .orderBy('decided_request_id')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        key: { source: row.decided_source, requestId: row.decided_request_id },
        decision: decisionOf(row),
      }))
    },
  }
}

function decisionOf(row: Selectable<RecordDecisionsTable>): Decision {
  const reason = row.decision_reason ?? ''
  switch (row.verdict) {
    case 'exclude':
    case 'hold':
      return { verdict: row.verdict, reason }
    case 'cap':
      return {
        verdict: 'cap',
        reason,
        promptTokens: BigInt(row.capped_prompt_tokens ?? 0),
        cachedPromptTokens: BigInt(row.capped_cached_tokens ?? 0),
        completionTokens: BigInt(row.capped_completion_tokens ?? 0),
      }
    default:
      return { verdict: 'count' }
  }
}

function columnsOf(decision: Decision) {
  const isCap = decision.verdict === 'cap'
  return {
    verdict: decision.verdict,
    decision_reason: decision.verdict === 'count' ? null : decision.reason,
    capped_prompt_tokens: isCap ? decision.promptTokens : null,
    capped_cached_tokens: isCap ? decision.cachedPromptTokens : null,
    capped_completion_tokens: isCap ? decision.completionTokens : null,
  }
}
