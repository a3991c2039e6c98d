import { type Kysely, type RawBuilder, sql } from 'kysely'
import { type AccountNumber, modelId } from '../domain/ids.js'
import { wad } from '../domain/money.js'
import type { QuotaUse } from '../domain/quota.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { RecentUse, Spending, SpendMark } from '../ports/spending.js'
import type { SpendMarksTable } from './budget-tables.js'
import { accountOf, accountText } from './columns.js'
import type { Tables } from './tables.js'

/** A record counts unless it says so itself or the operator's own rule does. */
const COUNTED = sql`u.excluded is null and (d.verdict is null or d.verdict <> 'exclude')`
const DECISIONS = sql`left join record_decisions d
  on d.decided_source = u.source and d.decided_request_id = u.request_id`
const PROMPT = sql`coalesce(d.capped_prompt_tokens, u.prompt_tokens)`
const CACHED = sql`coalesce(d.capped_cached_tokens, u.cached_prompt_tokens)`
const COMPLETION = sql`coalesce(d.capped_completion_tokens, u.completion_tokens)`

export function sqlSpending(db: Kysely<Tables>): Spending {
  return {
    async unsettled(accounts) {
      if (accounts.length === 0) return []
      const among = sql.join(accounts.map(accountText))
      const { rows } = await sql<EntryRow>`
        select u.account, u.period_start from usage_records u
          where u.batch_seq is null and u.excluded is null and u.account in (${among})
          group by u.account, u.period_start
        union
        select account, period_start from stated_totals
          where account in (${among}) and stated_by >= (select coalesce(min(seq), ${2n ** 62n})
            from batches where state not in ('settled', 'superseded'))
        union
        select e.account, e.period_start from entries e
          join stated_totals s on s.account = e.account and s.period_start = e.period_start
            and s.stated_by = e.seq
          where e.account in (${among}) and e.result not in ('applied', 'stale')
            and e.result = 'held'`.execute(db)
      return rows.map(entryKey)
    },

    async used(accounts, { sinceMs, newestSinceMs, untilMs }) {
      if (accounts.length === 0) return []
      const { rows } = await sql<UseRow>`
        select u.account, u.period_start, u.model_id,
          case when u.started_at_ms >= ${BigInt(newestSinceMs)} then 1 else 0 end as newest,
          sum(${PROMPT}) as prompt, sum(${CACHED}) as cached, sum(${COMPLETION}) as completion,
          count(*) as requests
        from usage_records u ${DECISIONS}
        where ${COUNTED} and u.account in (${sql.join(accounts.map(accountText))})
          and u.started_at_ms >= ${BigInt(sinceMs)} and u.started_at_ms < ${BigInt(untilMs)}
        group by u.account, u.period_start, u.model_id, newest`.execute(db)
      return rows.map(
        (row): RecentUse => ({
          ...usageOf(row),
          isNewest: Number(row.newest) === 1,
        }),
      )
    },

    async quotaUse(account, { hourMs, dayMs }, byokModels) {
      const { rows } = await sql<QuotaRow>`
        select case when ${isByok(byokModels)} then 1 else 0 end as byok,
          sum(case when u.started_at_ms >= ${BigInt(hourMs)} then 1 else 0 end) as of_hour,
          count(*) as of_day, sum(${PROMPT} + ${COMPLETION}) as tokens
        from usage_records u ${DECISIONS}
        where ${COUNTED} and u.account = ${accountText(account)}
          and u.started_at_ms >= ${BigInt(dayMs)}
        group by byok`.execute(db)
      const use = (byok: number): QuotaUse => {
        const row = rows.find((one) => Number(one.byok) === byok)
        return {
          requestsThisHour: BigInt(row?.of_hour ?? 0),
          requestsToday: BigInt(row?.of_day ?? 0),
          tokensToday: BigInt(row?.tokens ?? 0),
        }
      }
      return { own: use(0), byok: use(1) }
    },

    async byokUse(account, { sinceMs, untilMs }, byokModels) {
      const { rows } = await sql<UsageRow>`
        select u.account, u.period_start, u.model_id,
          sum(${PROMPT}) as prompt, sum(${CACHED}) as cached, sum(${COMPLETION}) as completion,
          count(*) as requests
        from usage_records u ${DECISIONS}
        where ${COUNTED} and u.account = ${accountText(account)} and ${isByok(byokModels)}
          and u.started_at_ms >= ${BigInt(sinceMs)} and u.started_at_ms < ${BigInt(untilMs)}
        group by u.account, u.period_start, u.model_id`.execute(db)
      return rows.map(usageOf)
    },

    async knownUntilMs(sourcesRead) {
      const read =
        sourcesRead.length === 0
          ? undefined
          : await db
              .selectFrom('sources')
              .select(({ fn }) => fn.min('read_until_ms').as('known'))
              .where('name', 'in', [...sourcesRead])
              .executeTakeFirst()
      const { rows } = await sql<{ known: bigint | null }>`
        select started_at_ms as known from usage_records where mapping_version is null
          and batch_seq is null and excluded is null order by started_at_ms limit 1`.execute(db)
      const known = [read?.known, rows[0]?.known].flatMap((one) => one ?? [])
      return known.length === 0 ? undefined : Math.min(...known.map(Number))
    },

    async saveMark({ account, day, spentBefore }) {
      await db
        .insertInto('spend_marks')
        .values({
          account: accountText(account),
          day: BigInt(day),
          spent_before: spentBefore.toString(),
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },

    async marks(accounts, days) {
      if (accounts.length === 0 || days.length === 0) return []
      const rows = await db
        .selectFrom('spend_marks')
        .selectAll()
        .where('account', 'in', accounts.map(accountText))
        .where('day', 'in', days.map(BigInt))
        .execute()
      return rows.map(spendMark)
    },

    async marksSince(account, day) {
      const rows = await db
        .selectFrom('spend_marks')
        .selectAll()
        .where('account', '=', accountText(account))
        .where('day', '>=', BigInt(day))
        .orderBy('day')
        .execute()
      return rows.map(spendMark)
    },

    async pruneMarks(beforeDay) {
      await db.deleteFrom('spend_marks').where('day', '<', BigInt(beforeDay)).execute()
    },
  }
}

/** By the name that the client used: the whole of it, or its beginning where `*` ends the pattern. */
function isByok(patterns: readonly string[]): RawBuilder<boolean> {
  if (patterns.length === 0) return sql`1 = 0`
  const any = patterns.map((pattern) => {
    const start = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined
    return start === undefined
      ? sql`u.model = ${pattern}`
      : sql`substr(u.model, 1, ${sql.lit(start.length)}) = ${start}`
  })
  return sql`(${sql.join(any, sql` or `)})`
}

interface EntryRow {
  readonly account: string
  readonly period_start: bigint
}

type Sum = bigint | string

interface UsageRow extends EntryRow {
  readonly model_id: bigint
  readonly prompt: Sum
  readonly cached: Sum
  readonly completion: Sum
  readonly requests: Sum
}

interface UseRow extends UsageRow {
  readonly newest: bigint
}

interface QuotaRow {
  readonly byok: bigint
  readonly of_hour: Sum
  readonly of_day: Sum
  readonly tokens: Sum
}

function entryKey({ account, period_start }: EntryRow): EntryKey {
  return { accountNumber: accountOf(account), periodStart: Number(period_start) }
}

function usageOf(row: UsageRow): EntryKey & UsageTotal {
  return {
    ...entryKey(row),
    modelId: modelId(Number(row.model_id)),
    promptTokens: BigInt(row.prompt),
    cachedPromptTokens: BigInt(row.cached),
    completionTokens: BigInt(row.completion),
    requests: BigInt(row.requests),
  }
}

function spendMark(row: SpendMarksTable): SpendMark {
  return {
    account: accountOf(row.account) satisfies AccountNumber,
    day: Number(row.day),
    spentBefore: wad(BigInt(row.spent_before)),
  }
}
