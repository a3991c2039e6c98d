import { CompiledQuery, type Kysely, type Selectable } from 'kysely'
import { keccak, utf8 } from '../domain/bytes.js'
import { billableDifference, type CallFacts, isSameCall } from '../domain/same-call.js'
import { isHeldReason, TWIN_SOURCE } from '../domain/set-aside.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { UsageSlice } from '../ports/usage-source.js'
import { count } from './columns.js'
import { encode } from './json.js'
import type { Tables, UsageRecordsTable } from './tables.js'

/** 15 variables a row; SQLite binds at most 32,766 a statement. More rows gain nothing. */
const ROWS_A_STATEMENT = 250

/** What a sighting brings. The other columns are for what is made of it later, and begin as null. */
const COLUMNS = [
  ...(['source', 'request_id', 'started_at_ms', 'ended_at_ms'] as const),
  ...(['user', 'api_key', 'team_id', 'end_user', 'model'] as const),
  ...(['prompt_tokens', 'cached_prompt_tokens', 'completion_tokens'] as const),
  ...(['excluded', 'spend', 'seen_at_ms'] as const),
] as const

/** Those that say whether a row seen again is still the same. */
const FACTS = [
  ...(['source', 'request_id', 'started_at_ms', 'user', 'api_key', 'team_id', 'end_user'] as const),
  ...(['model', 'prompt_tokens', 'cached_prompt_tokens', 'completion_tokens', 'excluded'] as const),
] as const
type FactsRow = Selectable<Pick<UsageRecordsTable, (typeof FACTS)[number]>>

/**
 * Part of saving a slice: inserts what is new, once. A known id is compared with what is kept of
 * it; where its billable fields differ, the newer row goes to quarantine. Returns how many were new.
 */
export async function takeIn(
  db: Kysely<Tables>,
  source: string,
  { records, areIdsGlobal = false }: UsageSlice,
  seenAtMs: bigint,
): Promise<number> {
  const others = areIdsGlobal ? await otherSources(db, source) : []
  let added = 0
  for (let start = 0; start < records.length; start += ROWS_A_STATEMENT) {
    const rows = records.slice(start, start + ROWS_A_STATEMENT)
    const fresh = await setAsideKnown(db, source, rows, seenAtMs)
    if (fresh.length === 0) continue
    const twins = await twinsOf(db, others, fresh)
    added += await insertRecords(db, fresh, twins, seenAtMs)
  }
  return added
}

/** The records that are new; of the others, those that have changed go to quarantine. */
async function setAsideKnown(
  db: Kysely<Tables>,
  source: string,
  records: readonly UsageRecord[],
  seenAtMs: bigint,
): Promise<UsageRecord[]> {
  const known = new Map<string, CallFacts>()
  const kept = await readFacts(db, [source], records)
  for (const row of kept) known.set(row.request_id, callFacts(row))
  const fresh: UsageRecord[] = []
  for (const record of records) {
    const before = known.get(record.key.requestId)
    if (before === undefined) {
      fresh.push(record)
      known.set(record.key.requestId, record) // One id can come twice in a slice too.
      continue
    }
    const differs = billableDifference(before, record)
    if (differs.length > 0) await putInQuarantine(db, record, differs, seenAtMs)
  }
  return fresh
}

/** The request ids of calls that another source has shown. */
async function twinsOf(
  db: Kysely<Tables>,
  others: readonly string[],
  records: readonly UsageRecord[],
): Promise<ReadonlySet<string>> {
  const twins = new Set<string>()
  if (others.length === 0) return twins
  const byId = new Map(records.map((record) => [record.key.requestId, record]))
  for (const row of await readFacts(db, others, records)) {
    const record = byId.get(row.request_id)
    if (record !== undefined && isSameCall(record, callFacts(row))) twins.add(row.request_id)
  }
  return twins
}

async function otherSources(db: Kysely<Tables>, source: string): Promise<string[]> {
  const rows = await db.selectFrom('sources').select('name').where('name', '!=', source).execute()
  return rows.map(({ name }) => name)
}

/** Each once: what is there already stays as it is. Returns how many were new. */
export async function insertRecords(
  db: Kysely<Tables>,
  records: readonly UsageRecord[],
  twins: ReadonlySet<string>,
  seenAtMs: bigint,
): Promise<number> {
  const text = textOf(db, `insert ${records.length}`, () => {
    const row = Object.fromEntries(COLUMNS.map((column) => [column, ''])) as never
    return db
      .insertInto('usage_records')
      .columns(COLUMNS)
      .values(Array.from({ length: records.length }, () => row))
      .onConflict((conflict) => conflict.doNothing())
      .compile()
  })
  const values: unknown[] = []
  for (const record of records) {
    const { key, payers } = record
    const isTwin = twins.has(key.requestId)
    // What does not count anyway keeps its own reason; what may count yet must not count twice.
    const isOpen = record.excluded === undefined || isHeldReason(record.excluded)
    const excluded = isTwin && isOpen ? TWIN_SOURCE : (record.excluded ?? null)
    values.push(
      key.source,
      key.requestId,
      record.startedAtMs,
      record.endedAtMs,
      payers.user,
      payers.api_key,
      payers.team_id,
      payers.end_user,
      record.model,
      record.promptTokens,
      record.cachedPromptTokens,
      record.completionTokens,
      excluded,
      record.spend,
      seenAtMs,
    )
  }
  const { numAffectedRows } = await db.executeQuery(CompiledQuery.raw(text, values))
  return count(numAffectedRows)
}

async function readFacts(
  db: Kysely<Tables>,
  sources: readonly string[],
  records: readonly UsageRecord[],
): Promise<readonly FactsRow[]> {
  const text = textOf(db, `facts ${sources.length} ${records.length}`, () =>
    db
      .selectFrom('usage_records')
      .select(FACTS)
      .where('source', 'in', Array.from(sources))
      .where(
        'request_id',
        'in',
        records.map(() => ''),
      )
      .compile(),
  )
  const values = [...sources, ...records.map(({ key }) => key.requestId)]
  return (await db.executeQuery<FactsRow>(CompiledQuery.raw(text, values))).rows
}

async function putInQuarantine(
  db: Kysely<Tables>,
  record: UsageRecord,
  differs: readonly string[],
  seenAtMs: bigint,
): Promise<void> {
  const text = encode(record)
  const { source, requestId: request_id } = record.key
  await db
    .insertInto('quarantine')
    .values({
      source,
      request_id,
      differs: differs.join(','),
      record_hash: keccak(utf8(text)),
      record: text,
      seen_at_ms: seenAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** What of a row two sightings of the same call have to agree on. */
export function callFacts(row: FactsRow): CallFacts {
  return {
    startedAtMs: Number(row.started_at_ms),
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
    ...(row.excluded === null ? {} : { excluded: row.excluded }),
  }
}

/** Statements by engine and shape: to compile one of thousands of variables takes milliseconds. */
const texts = new WeakMap<object, Map<string, string>>()

function textOf(db: Kysely<Tables>, shape: string, compile: () => CompiledQuery): string {
  const { adapter } = db.getExecutor()
  const ofEngine = texts.get(adapter) ?? new Map<string, string>()
  texts.set(adapter, ofEngine)
  const text = ofEngine.get(shape) ?? compile().sql
  ofEngine.set(shape, text)
  return text
}
