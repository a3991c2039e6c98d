import { type Kysely, type Selectable, sql } from 'kysely'
import type { Clock } from '../ports/clock.js'
import type { AlarmEpisode, MessageState, Notices, SavedMessage } from '../ports/notices.js'
import type { Notice, NoticeSeverity } from '../ports/notifier.js'
import { count } from './columns.js'
import { decode, encode } from './json.js'
import type { AlarmEpisodesTable, NoticeMessagesTable } from './notice-tables.js'
import type { Tables } from './tables.js'

/** As they were noted; those of holds, which have numbers, as they happened. */
const IN_ORDER = sql`noted_at_ms, alarm, length(about), about, change desc`

export function sqlNotices(db: Kysely<Tables>, clock: Clock): Notices {
  const noticesOf = async (messageId: string): Promise<readonly Notice[]> => {
    const rows = await db
      .selectFrom('notices')
      .select('notice')
      .where('message_id', '=', messageId)
      .orderBy(IN_ORDER)
      .execute()
    return rows.map(({ notice }) => decode<Notice>(notice))
  }
  const whole = (rows: readonly Selectable<NoticeMessagesTable>[]): Promise<SavedMessage[]> =>
    Promise.all(
      rows.map(async (row) => ({ ...message(row), notices: await noticesOf(row.message_id) })),
    )
  return {
    async episodes(endedSinceMs) {
      const rows = await db
        .selectFrom('alarm_episodes')
        .selectAll()
        .where((where) =>
          where.or([
            where('cleared_at_ms', 'is', null),
            where('cleared_at_ms', '>=', BigInt(endedSinceMs)),
          ]),
        )
        .orderBy('raised_at_ms')
        .execute()
      return rows.map(episode)
    },

    async saveEpisode({ alarm, raisedAtMs, seenAtMs, toldAtMs, clearedAtMs, ...words }) {
      const fields = {
        ...words,
        seen_at_ms: BigInt(seenAtMs),
        told_at_ms: optional(toldAtMs),
        cleared_at_ms: optional(clearedAtMs),
      }
      await db
        .insertInto('alarm_episodes')
        .values({ alarm, raised_at_ms: BigInt(raisedAtMs), ...fields })
        .onConflict((conflict) => conflict.columns(['alarm', 'raised_at_ms']).doUpdateSet(fields))
        .execute()
    },

    async add(target, notice) {
      if (notice.change === 'test') throw new Error('a test is sent and not kept')
      await db
        .insertInto('notices')
        .values({
          target,
          alarm: notice.alarm,
          about: aboutText(notice),
          raised_at_ms: BigInt(notice.raisedAtMs),
          change: notice.change,
          notice: encode(notice),
          noted_at_ms: BigInt(clock.now()),
          message_id: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },

    async waiting(target, limit) {
      const rows = await db
        .selectFrom('notices')
        .select('notice')
        .where('target', '=', target)
        .where('message_id', 'is', null)
        .orderBy(sql`about <> ''`)
        .orderBy(IN_ORDER)
        .limit(limit)
        .execute()
      return rows.map(({ notice }) => decode<Notice>(notice))
    },

    async gather({ notices, ...saved }) {
      await db.insertInto('notice_messages').values(messageRow(saved)).execute()
      for (const notice of notices) {
        const { alarm, raisedAtMs, change } = notice
        await db
          .updateTable('notices')
          .set({ message_id: saved.id })
          .where('target', '=', saved.target)
          .where('alarm', '=', alarm)
          .where('about', '=', aboutText(notice))
          .where('raised_at_ms', '=', BigInt(raisedAtMs))
          .where('change', '=', change)
          .execute()
      }
    },

    async lastMadeAtMs(target) {
      const row = await db
        .selectFrom('notice_messages')
        .select(sql<bigint | null>`max(made_at_ms)`.as('last'))
        .where('target', '=', target)
        .executeTakeFirstOrThrow()
      return row.last === null ? undefined : Number(row.last)
    },

    async due(nowMs, limit) {
      const rows = await db
        .selectFrom('notice_messages')
        .selectAll()
        .where('state', '=', 'due')
        .where('next_at_ms', '<=', BigInt(nowMs))
        .orderBy('made_at_ms')
        .limit(limit)
        .execute()
      return whole(rows)
    },

    async message(id) {
      const row = await db
        .selectFrom('notice_messages')
        .selectAll()
        .where('message_id', '=', id)
        .executeTakeFirst()
      return row && { ...message(row), notices: await noticesOf(id) }
    },

    async saveMessage(saved) {
      const { message_id, ...fields } = messageRow(saved)
      await db
        .updateTable('notice_messages')
        .set(fields)
        .where('message_id', '=', message_id)
        .execute()
    },

    async newest(limit) {
      const rows = await db
        .selectFrom('notice_messages')
        .selectAll()
        .orderBy('made_at_ms', 'desc')
        .orderBy('message_id')
        .limit(limit)
        .execute()
      return whole(rows)
    },

    async counts(deadSinceMs) {
      const dead = sql`state = 'dead' and ended_at_ms >= ${BigInt(deadSinceMs)}`
      const row = await db
        .selectFrom('notice_messages')
        .select([
          sql<bigint>`count(case when state = 'due' then 1 end)`.as('due'),
          sql<bigint>`count(case when ${dead} then 1 end)`.as('dead'),
          sql<bigint | null>`min(case when state = 'due' then made_at_ms end)`.as('oldest_due'),
          sql<bigint | null>`min(case when ${dead} then ended_at_ms end)`.as('oldest_dead'),
        ])
        .executeTakeFirstOrThrow()
      return {
        due: count(row.due),
        dead: count(row.dead),
        oldestDueAtMs: row.oldest_due === null ? undefined : Number(row.oldest_due),
        oldestDeadAtMs: row.oldest_dead === null ? undefined : Number(row.oldest_dead),
      }
    },

    async prune(beforeMs) {
      const before = BigInt(beforeMs)
      const old = db
        .selectFrom('notice_messages')
        .select('message_id')
        .where('state', '!=', 'due')
        .where('ended_at_ms', '<', before)
      await db.deleteFrom('notices').where('message_id', 'in', old).execute()
      const { numDeletedRows } = await db
        .deleteFrom('notice_messages')
        .where('message_id', 'in', old)
        .executeTakeFirstOrThrow()
      await db.deleteFrom('alarm_episodes').where('cleared_at_ms', '<', before).execute()
      return Number(numDeletedRows)
    },
  }
}

function aboutText({ held }: Notice): string {
  return held === undefined ? '' : `${held.number}`
}

function optional(ms: number | undefined): bigint | null {
  return ms === undefined ? null : BigInt(ms)
}

function messageRow(saved: Omit<SavedMessage, 'notices'>): NoticeMessagesTable {
  return {
    message_id: saved.id,
    target: saved.target,
    state: saved.state,
    tries: BigInt(saved.tries),
    made_at_ms: BigInt(saved.madeAtMs),
    next_at_ms: BigInt(saved.nextAtMs),
    ended_at_ms: optional(saved.endedAtMs),
    problem: saved.problem ?? null,
  }
}

function message(row: Selectable<NoticeMessagesTable>): Omit<SavedMessage, 'notices'> {
  return {
    id: row.message_id,
    target: row.target,
    state: row.state as MessageState,
    tries: Number(row.tries),
    madeAtMs: Number(row.made_at_ms),
    nextAtMs: Number(row.next_at_ms),
    endedAtMs: row.ended_at_ms === null ? undefined : Number(row.ended_at_ms),
    problem: row.problem ?? undefined,
  }
}

function episode(row: Selectable<AlarmEpisodesTable>): AlarmEpisode {
  return {
    alarm: row.alarm,
    raisedAtMs: Number(row.raised_at_ms),
    seenAtMs: Number(row.seen_at_ms),
    severity: row.severity as NoticeSeverity,
    says: row.says,
    runbook: row.runbook,
    toldAtMs: row.told_at_ms === null ? undefined : Number(row.told_at_ms),
    clearedAtMs: row.cleared_at_ms === null ? undefined : Number(row.cleared_at_ms),
  }
}
