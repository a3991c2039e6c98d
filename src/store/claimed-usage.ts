import { type Kysely, sql } from 'kysely'
import { type AccountRange, modelId } from '../domain/ids.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import { accountOf, accountText } from './columns.js'
import type { Tables } from './tables.js'

/**
 * What batches count in a range of accounts, as the view `counted_records` has it. The view says where
 * a record counts only after it has looked at its corrections, so each part names the records that may
 * count here by an index: those that were claimed here, and those that a correction moved here.
 */
export async function claimedUsage(
  db: Kysely<Tables>,
  { from, to }: AccountRange,
): Promise<(EntryKey & UsageTotal)[]> {
  const [first, last] = [accountText(from), accountText(to)]
  const claimed = await sql<SumRow>`select u.account, u.period_start, u.model_id,
      sum(coalesce(d.capped_prompt_tokens, u.prompt_tokens)) as prompt,
      sum(coalesce(d.capped_cached_tokens, u.cached_prompt_tokens)) as cached,
      sum(coalesce(d.capped_completion_tokens, u.completion_tokens)) as completion,
      count(*) as requests
    from usage_records u
    left join record_decisions d
      on d.decided_source = u.source and d.decided_request_id = u.request_id
    where u.batch_seq is not null and u.account >= ${first} and u.account <= ${last}
      and not exists (select 1 from record_moves x
        join corrections c on c.correction_id = x.correction_id
        where x.moved_source = u.source and x.moved_request_id = u.request_id
          and c.sealed_height is not null)
    group by u.account, u.period_start, u.model_id`.execute(db)
  const moved = await sql<SumRow>`select v.account, v.period_start, v.model_id,
      sum(v.prompt_tokens) as prompt, sum(v.cached_prompt_tokens) as cached,
      sum(v.completion_tokens) as completion, count(*) as requests
    from (select distinct moved_source, moved_request_id from record_moves
      where to_account >= ${first} and to_account <= ${last}) m
    cross join counted_records v on v.source = m.moved_source and v.request_id = m.moved_request_id
    where v.account >= ${first} and v.account <= ${last}
      and exists (select 1 from record_moves x
        join corrections c on c.correction_id = x.correction_id
        where x.moved_source = v.source and x.moved_request_id = v.request_id
          and c.sealed_height is not null)
    group by v.account, v.period_start, v.model_id`.execute(db)
  return [...claimed.rows, ...moved.rows].map((row) => ({
    accountNumber: accountOf(row.account),
    periodStart: Number(row.period_start),
    ...usageTotal(row),
  }))
}

/** What waits to be sealed in one (vault, period), by model, in the order in which models came. */
export async function waitingUsage(
  db: Kysely<Tables>,
  { accountNumber, periodStart }: EntryKey,
): Promise<UsageTotal[]> {
  const { rows } = await sql<Sums & { readonly model_id: bigint | null }>`select u.model_id,
      sum(coalesce(d.capped_prompt_tokens, u.prompt_tokens)) as prompt,
      sum(coalesce(d.capped_cached_tokens, u.cached_prompt_tokens)) as cached,
      sum(coalesce(d.capped_completion_tokens, u.completion_tokens)) as completion,
      count(*) as requests
    from usage_records u
    left join record_decisions d
      on d.decided_source = u.source and d.decided_request_id = u.request_id
    where u.batch_seq is null and u.excluded is null
      and (d.verdict is null or d.verdict <> 'exclude')
      and u.account = ${accountText(accountNumber)} and u.period_start = ${BigInt(periodStart)}
    group by u.model_id
    order by min(u.started_at_ms), min(u.request_id)`.execute(db)
  return rows.map(usageTotal)
}

interface Sums {
  readonly prompt: bigint | string
  readonly cached: bigint | string
  readonly completion: bigint | string
  readonly requests: bigint | string
}

interface SumRow extends Sums {
  readonly account: string
  readonly period_start: bigint
  readonly model_id: bigint | null
}

function usageTotal(row: Sums & { readonly model_id: bigint | null }): UsageTotal {
  return {
    modelId: modelId(Number(row.model_id)),
    promptTokens: BigInt(row.prompt),
    cachedPromptTokens: BigInt(row.cached),
    completionTokens: BigInt(row.completion),
    requests: BigInt(row.requests),
  }
}
