import { type Kysely, type Migration, sql } from 'kysely'

/** What reports read: an index by time, and usage where it counts, sealed or not yet. */
export const reports: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createIndex('usage_records_by_time')
      .on('usage_records')
      .column('started_at_ms')
      .where(sql.ref('excluded'), 'is', null)
      .execute()
    await db.schema.createIndex('outbox_by_time').on('outbox').column('saved_at_ms').execute()
    await reportedUsage().execute(db)
  },
}

/** As `counted_records`, with what waits to be sealed: where attribution would put it today. */
const reportedUsage = () => sql`
  create view reported_usage as
  select r.started_at_ms, r."user", r.api_key, r.team_id, r.end_user, r.model,
    coalesce(d.capped_prompt_tokens, r.prompt_tokens) as prompt_tokens,
    coalesce(d.capped_cached_tokens, r.cached_prompt_tokens) as cached_prompt_tokens,
    coalesce(d.capped_completion_tokens, r.completion_tokens) as completion_tokens,
    case when m.correction_id is null then r.account else m.to_account end as account,
    case when m.correction_id is null then r.period_start else m.to_period_start end
      as period_start,
    case when m.correction_id is null then r.model_id else m.to_model_id end as model_id
  from usage_records r
  left join record_decisions d
    on d.decided_source = r.source and d.decided_request_id = r.request_id
  left join record_moves m
    on m.moved_source = r.source and m.moved_request_id = r.request_id
      and m.correction_id = (
        select max(x.correction_id) from record_moves x
          join corrections c on c.correction_id = x.correction_id
        where x.moved_source = r.source and x.moved_request_id = r.request_id
          and c.sealed_height is not null)
  where r.excluded is null
    and (r.batch_seq is not null or d.verdict is null or d.verdict <> 'exclude')
    and case when m.correction_id is null then r.account else m.to_account end is not null`
