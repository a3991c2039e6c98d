import { type Kysely, type Selectable, type SelectQueryBuilder, sql, type Updateable } from 'kysely'
import type { Scope } from '../domain/access.js'
import type { KeyLimits, Microdollars } from '../domain/key-limits.js'
import { type KeyId, keyId } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type {
  KeyState,
  Keys,
  NewKey,
  SeenKey,
  StoredKey,
  SyncOutcome,
  SyncStatus,
} from '../ports/keys.js'
import { accountOf, accountText, count } from './columns.js'
import type { VirtualKeysTable } from './key-tables.js'
import type { Tables } from './tables.js'

/** More say nothing more: the wait has long been the longest. */
const FAILURES_MAX = 1_000_000

export function sqlKeys(db: Kysely<Tables>, clock: Clock): Keys {
  const find = async (column: 'key_id' | 'alias', value: string) => {
    const row = await db
      .selectFrom('virtual_keys')
      .selectAll()
      .where(column, '=', value)
      .executeTakeFirst()
    return row === undefined ? undefined : storedKey(row)
  }
  return {
    async add(key) {
      await db.insertInto('virtual_keys').values(newRow(key, clock.now())).execute()
    },

    get: (id) => find('key_id', id),

    findByAlias: (alias) => find('alias', alias),

    async findNamed(account, name) {
      const row = await db
        .selectFrom('virtual_keys')
        .selectAll()
        .where('account', '=', accountText(account))
        .where('name', '=', name)
        .where('state', '!=', 'deleted')
        .orderBy('created_at_ms')
        .limit(1)
        .executeTakeFirst()
      return row === undefined ? undefined : storedKey(row)
    },

    async list({ accounts, withDeleted = false, after, limit }) {
      const all = db.selectFrom('virtual_keys').selectAll().orderBy('key_id').limit(limit)
      let query = within(accounts, all)
      if (!withDeleted) query = query.where('state', '!=', 'deleted')
      if (after !== undefined) query = query.where('key_id', '>', after)
      return (await query.execute()).map(storedKey)
    },

    async usable(accounts, goneSinceMs) {
      if (accounts.length === 0) return []
      const rows = await db
        .selectFrom('virtual_keys')
        .selectAll()
        .where('account', 'in', accounts.map(accountText))
        .where(({ or, eb }) =>
          or([
            eb('state', '!=', 'deleted'),
            eb('next_try_at_ms', 'is not', null),
            eb('last_synced_at_ms', '>=', BigInt(goneSinceMs)),
          ]),
        )
        .orderBy('key_id')
        .execute()
      return rows.map(storedKey)
    },

    async accounts(after, limit, deletedSinceMs) {
      const rows = await db
        .selectFrom('virtual_keys')
        .select('account')
        .distinct()
        .where(({ or, eb }) =>
          or([
            eb('state', '!=', 'deleted'),
            ...(deletedSinceMs === undefined
              ? []
              : [eb('changed_at_ms', '>=', BigInt(deletedSinceMs))]),
          ]),
        )
        .where('account', '>', after === undefined ? '' : accountText(after))
        .orderBy('account')
        .limit(limit)
        .execute()
      return rows.map(({ account }) => accountOf(account))
    },

    async generations(account, name) {
      const row = await db
        .selectFrom('virtual_keys')
        .select(({ fn }) => fn.countAll().as('count'))
        .where('account', '=', accountText(account))
        .where('name', '=', name)
        .executeTakeFirstOrThrow()
      return count(row.count)
    },

    async customersSince(account, sinceMs) {
      const row = await db
        .selectFrom('virtual_keys as key')
        .select(({ fn }) => fn.countAll().as('count'))
        .where('account', '=', accountText(account))
        .where('is_customers', '=', 1n)
        .where(({ or, eb }) =>
          or([eb('state', '!=', 'deleted'), eb('changed_at_ms', '>=', BigInt(sinceMs))]),
        )
        .where(({ or, and, eb, not, exists, selectFrom }) => {
          const successor = selectFrom('virtual_keys as next')
            .select('next.key_id')
            .whereRef('next.replaces', '=', 'key.key_id')
            .where('next.is_handed_over', '=', 1n)
          const isOwn = and([eb('is_handed_over', '=', 1n), not(exists(successor))])
          return or([eb('state', '!=', 'deleted'), isOwn])
        })
        .executeTakeFirstOrThrow()
      return count(row.count)
    },

    async madeSince(account, sinceMs) {
      const row = await db
        .selectFrom('virtual_keys')
        .select(({ fn }) => fn.countAll().as('count'))
        .where('account', '=', accountText(account))
        .where('created_at_ms', '>=', BigInt(sinceMs))
        .executeTakeFirstOrThrow()
      return count(row.count)
    },

    async change(id, { limits, state, userId }) {
      await db
        .updateTable('virtual_keys')
        .set({
          ...(limits === undefined ? {} : limitColumns(limits)),
          ...(state === undefined ? {} : { state }),
          ...(state === 'wanted' ? { is_handed_over: 1n } : {}),
          ...(userId === undefined ? {} : { user_id: userId }),
          changed_at_ms: BigInt(clock.now()),
          ...dueAgain(clock),
        })
        .where('key_id', '=', id)
        .execute()
    },

    async touch(id) {
      await touchKeys(db, clock, { id })
    },

    async due(nowMs, limit) {
      const rows = await db
        .selectFrom('virtual_keys')
        .selectAll()
        .where('next_try_at_ms', '<=', BigInt(nowMs))
        .orderBy(sql`case sync_status when 'pending' then 0 when 'failed' then 1 else 2 end`)
        .orderBy('next_try_at_ms')
        .orderBy('key_id')
        .limit(limit)
        .execute()
      return rows.map(storedKey)
    },

    async saveSync(id, revision, outcome) {
      const { numUpdatedRows } = await db
        .updateTable('virtual_keys')
        .set(outcomeColumns(outcome, clock.now()))
        .where('key_id', '=', id)
        .where('revision', '=', BigInt(revision))
        .executeTakeFirstOrThrow()
      if (numUpdatedRows === 1n) return true
      // What was just done at the gateway was by an old wish, and may have undone a newer one.
      await touchKeys(db, clock, { id })
      return false
    },

    async failing(accounts, limit) {
      const rows = await within(accounts, db.selectFrom('virtual_keys').selectAll())
        .where('sync_status', '=', 'failed')
        .orderBy('changed_at_ms')
        .orderBy('key_id')
        .limit(limit)
        .execute()
      return rows.map(storedKey)
    },

    async counts(accounts) {
      const there = within(accounts, db.selectFrom('virtual_keys')).where((where) =>
        where.or([where('state', '!=', 'deleted'), where('sync_status', '!=', 'synced')]),
      )
      const rows = await there
        .select(({ fn }) => ['sync_status', fn.countAll().as('count')])
        .groupBy('sync_status')
        .execute()
      const blocked = await there
        .select(({ fn }) => [
          fn.sum<bigint | null>('seen_blocked').as('blocked'),
          fn.sum<bigint | null>('seen_foreign').as('foreign'),
        ])
        .executeTakeFirst()
      const waiting = await there
        .select(({ fn }) => fn.min('changed_at_ms').as('since'))
        .where('sync_status', '!=', 'synced')
        .executeTakeFirst()
      const states = { pending: 0, synced: 0, failed: 0 }
      for (const row of rows) states[row.sync_status as SyncStatus] = count(row.count)
      return {
        states,
        blocked: count(blocked?.blocked),
        foreignBlocked: count(blocked?.foreign),
        waitingSinceMs: instant(waiting?.since ?? null),
      }
    },
  }
}

function within<Result>(
  accounts: Scope,
  query: SelectQueryBuilder<Tables, 'virtual_keys', Result>,
): SelectQueryBuilder<Tables, 'virtual_keys', Result> {
  return accounts === 'all' ? query : query.where('account', 'in', accounts.map(accountText))
}

/** Has keys compared with what is wanted, now. One that is being made is its maker's for a while. */
export async function touchKeys(
  db: Kysely<Tables>,
  clock: Clock,
  which: { readonly id: string } | { readonly account: string },
): Promise<void> {
  const named = db
    .updateTable('virtual_keys')
    .set(dueAgain(clock))
    .where('state', '!=', 'making')
    .where('next_try_at_ms', 'is not', null)
  const chosen =
    'id' in which
      ? named.where('key_id', '=', which.id)
      : named.where('account', '=', which.account)
  await chosen.execute()
}

function dueAgain(clock: Clock): Updateable<VirtualKeysTable> {
  return {
    revision: sql`revision + 1` as unknown as bigint,
    sync_status: 'pending',
    problem: null,
    failures: 0n,
    next_try_at_ms: BigInt(clock.now()),
  }
}

function outcomeColumns(outcome: SyncOutcome, nowMs: number): Updateable<VirtualKeysTable> {
  const { status, seen, nextTryAtMs } = outcome
  const next = { sync_status: status, next_try_at_ms: optional(nextTryAtMs), ...seenColumns(seen) }
  if (status === 'synced') {
    return { ...next, problem: null, failures: 0n, last_synced_at_ms: BigInt(nowMs) }
  }
  const failures = sql<bigint>`case when failures < ${FAILURES_MAX} then failures + 1 else failures end`
  return { ...next, problem: outcome.problem, failures: failures as unknown as bigint }
}

/** What was not seen is what was seen before. */
function seenColumns(seen: SeenKey | undefined): Updateable<VirtualKeysTable> {
  if (seen === undefined) return {}
  return {
    seen_at_ms: BigInt(seen.atMs),
    seen_blocked: seen.isBlocked ? 1n : 0n,
    seen_foreign: seen.isForeignBlock ? 1n : 0n,
    seen_spend: seen.spend,
  }
}

function newRow(key: NewKey, nowMs: number): VirtualKeysTable {
  return {
    key_id: key.id,
    gateway: key.gateway,
    alias: key.alias === '' ? null : key.alias,
    account: accountText(key.account),
    name: key.name,
    user_id: key.userId,
    ...limitColumns(key.limits),
    state: key.state,
    replaces: key.replaces ?? null,
    is_customers: key.isCustomers ? 1n : 0n,
    is_handed_over: key.state === 'wanted' ? 1n : 0n,
    block_mark: key.blockMark,
    created_at_ms: BigInt(nowMs),
    changed_at_ms: BigInt(nowMs),
    revision: 1n,
    sync_status: 'pending',
    problem: null,
    failures: 0n,
    next_try_at_ms: BigInt(key.nextTryAtMs),
    last_synced_at_ms: null,
    ...{ seen_at_ms: null, seen_blocked: null, seen_foreign: null, seen_spend: null },
  }
}

function limitColumns({ maxBudget, budgetDuration, rpmLimit, tpmLimit, models }: KeyLimits) {
  return {
    max_budget_micros: maxBudget,
    budget_duration: budgetDuration,
    rpm_limit: rpmLimit === null ? null : BigInt(rpmLimit),
    tpm_limit: tpmLimit === null ? null : BigInt(tpmLimit),
    models: JSON.stringify(models),
  }
}

function storedKey(row: Selectable<VirtualKeysTable>): StoredKey {
  return {
    id: keyId(row.key_id),
    gateway: row.gateway,
    alias: row.alias ?? '',
    account: accountOf(row.account),
    name: row.name,
    userId: row.user_id,
    limits: {
      maxBudget: row.max_budget_micros as Microdollars | null,
      budgetDuration: row.budget_duration,
      rpmLimit: row.rpm_limit === null ? null : Number(row.rpm_limit),
      tpmLimit: row.tpm_limit === null ? null : Number(row.tpm_limit),
      models: JSON.parse(row.models) as string[],
    },
    state: row.state as KeyState,
    replaces: (row.replaces as KeyId | null) ?? undefined,
    isCustomers: row.is_customers === 1n,
    blockMark: row.block_mark,
    createdAtMs: Number(row.created_at_ms),
    changedAtMs: Number(row.changed_at_ms),
    revision: Number(row.revision),
    syncStatus: row.sync_status as SyncStatus,
    problem: row.problem ?? undefined,
    failures: Number(row.failures),
    nextTryAtMs: instant(row.next_try_at_ms),
    lastSyncedAtMs: instant(row.last_synced_at_ms),
    seen: seenOf(row),
  }
}

function seenOf(row: Selectable<VirtualKeysTable>): SeenKey | undefined {
  if (row.seen_at_ms === null) return undefined
  return {
    atMs: Number(row.seen_at_ms),
    isBlocked: row.seen_blocked === 1n,
    isForeignBlock: row.seen_foreign === 1n,
    spend: row.seen_spend ?? '0',
  }
}

function instant(value: bigint | null): number | undefined {
  return value === null ? undefined : Number(value)
}

function optional(ms: number | undefined): bigint | null {
  return ms === undefined ? null : BigInt(ms)
}
