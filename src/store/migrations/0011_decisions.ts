import { type Kysely, type Migration, sql } from 'kysely'

/** What the operator's own rule lets count. Column names differ from the records': both are joined. */
export const decisions: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable('record_decisions')
      .addColumn('decided_source', 'text', (c) => c.notNull())
      .addColumn('decided_request_id', 'text', (c) => c.notNull())
      .addColumn('rule_version', 'text', (c) => c.notNull())
      .addColumn('verdict', 'text', (c) =>
        c.notNull().check(sql`verdict in ('count', 'exclude', 'hold', 'cap')`),
      )
      .addColumn('decision_reason', 'text')
      .addColumn('capped_prompt_tokens', 'bigint')
      .addColumn('capped_cached_tokens', 'bigint')
      .addColumn('capped_completion_tokens', 'bigint')
      .addColumn('decided_at_ms', 'bigint', (c) => c.notNull())
      .addCheckConstraint(
        'record_decisions_whole',
        sql`(verdict = 'count') = (decision_reason is null)
          and (verdict = 'cap') = (capped_prompt_tokens is not null)
          and (verdict = 'cap') = (capped_cached_tokens is not null)
          and (verdict = 'cap') = (capped_completion_tokens is not null)
          and (verdict <> 'cap' or (capped_cached_tokens between 0 and capped_prompt_tokens
            and capped_completion_tokens >= 0))`,
      )
      .addPrimaryKeyConstraint('record_decisions_once', ['decided_source', 'decided_request_id'])
      .execute()
  },
}
