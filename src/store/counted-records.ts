import { type Kysely, sql } from 'kysely'
import { modelId } from '../domain/ids.js'
import type { CountedChoice, CountedRecord, MovedRecord } from '../ports/corrections.js'
import type { AttributedRecord } from '../ports/stores.js'
import { accountOf, accountText } from './columns.js'
import { slicesOf } from './in-transaction.js'
import type { CountedRecordsView, Tables } from './tables.js'

const ROWS_A_STATEMENT = 500

/** Records where a batch counts them now: see the view `counted_records`. */
export async function countedRecords(
  db: Kysely<Tables>,
  choice: CountedChoice,
): Promise<CountedRecord[]> {
  const select = () =>
    db.selectFrom('counted_records').selectAll().orderBy('started_at_ms').orderBy('request_id')
  if (!('keys' in choice)) {
    const { source, field, payer, from } = choice
    const rows = await select()
      .where('source', '=', source)
      .where(sql.ref(field), '=', payer)
      .where('account', '=', accountText(from.accountNumber))
      .where('period_start', '=', BigInt(from.periodStart))
      .execute()
    return rows.map(attributed)
  }
  const found: CountedRecord[] = []
  for (const source of new Set(choice.keys.map((key) => key.source))) {
    const ids = choice.keys.flatMap((key) => (key.source === source ? [key.requestId] : []))
    for (const some of slicesOf(ids, ROWS_A_STATEMENT)) {
      const query = select().where('source', '=', source).where('request_id', 'in', some)
      found.push(...(await query.execute()).map(attributed))
    }
  }
  return found
}

type Moves = ReturnType<typeof movesOf>

/** Records that a correction moves, where it moves them to. */
export async function movedRecords(
  db: Kysely<Tables>,
  chosen: (moves: Moves) => Moves,
): Promise<MovedRecord[]> {
  const rows = await chosen(movesOf(db)).orderBy('started_at_ms').orderBy('request_id').execute()
  return rows.map((row) => ({ ...attributed(row), correctionId: Number(row.correction_id) }))
}

function movesOf(db: Kysely<Tables>) {
  return db
    .selectFrom('record_moves')
    .innerJoin('corrections', 'corrections.correction_id', 'record_moves.correction_id')
    .innerJoin('usage_records', (join) =>
      join.onRef('source', '=', 'moved_source').onRef('request_id', '=', 'moved_request_id'),
    )
    .leftJoin('record_decisions', (join) =>
      join.onRef('decided_source', '=', 'source').onRef('decided_request_id', '=', 'request_id'),
    )
    .select(['record_moves.correction_id', 'source', 'request_id', 'started_at_ms'])
    .select(['user', 'api_key', 'team_id', 'end_user', 'model'])
    .select([
      'to_account as account',
      'to_period_start as period_start',
      'to_model_id as model_id',
      sql<bigint>`coalesce(capped_prompt_tokens, prompt_tokens)`.as('prompt_tokens'),
      sql<bigint>`coalesce(capped_cached_tokens, cached_prompt_tokens)`.as('cached_prompt_tokens'),
      sql<bigint>`coalesce(capped_completion_tokens, completion_tokens)`.as('completion_tokens'),
    ])
}

type Row = Omit<CountedRecordsView, 'account' | 'period_start' | 'model_id'> & {
  readonly account: string | null
  readonly period_start: bigint | null
  readonly model_id: bigint | null
}

function attributed(row: Row): AttributedRecord {
  return {
    key: { source: row.source, requestId: row.request_id },
    startedAtMs: Number(row.started_at_ms),
    endedAtMs: Number(row.started_at_ms),
    payers: {
      user: row.user,
      api_key: row.api_key,
      team_id: row.team_id,
      end_user: row.end_user,
    },
    model: row.model,
    promptTokens: row.prompt_tokens,
    cachedPromptTokens: row.cached_prompt_tokens,
    completionTokens: row.completion_tokens,
    spend: '0',
    account: accountOf(row.account ?? ''),
    periodStart: Number(row.period_start),
    modelId: modelId(Number(row.model_id)),
  }
}
