import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/domain/errors.js'
import { accountNumber } from '../../src/domain/ids.js'
import { lockStore, openStore } from '../../src/store/index.js'
import { encode } from '../../src/store/json.js'
import { migrations } from '../../src/store/migrations/index.js'
import { sqlNotices } from '../../src/store/notices.js'
import { openSqlite } from '../../src/store/sqlite.js'
import { ChildModules } from '../support/child-process.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

const clock = new ManualClock(EVENING_MS)
const children = new ChildModules('src/store/sqlite.ts')
let file: StoreFile

beforeEach(() => {
  file = new StoreFile(clock)
})
afterEach(() => file.remove())
afterAll(() => children.remove())

describe('the lock of a store', () => {
  const holding = () => `
    import { lockStore } from './src/store/sqlite.js'
    // Kept, else it would be collected some time.
    globalThis.unlock = lockStore(${JSON.stringify(file.path)}, ${EVENING_MS})
    process.stdin.resume()
    console.log('held')`

  test('refuses a second process, and names the first', async () => {
    const holder = children.start(holding())
    expect(await holder.line()).toBe('held')
    const refusal = errorOf(() => lockStore(file.path, EVENING_MS))
    expect(refusal).toBeInstanceOf(ConfigError)
    expect(refusal).toMatchObject({ code: 'store_in_use' })
    expect(refusal.message).toContain(
      `in use by process ${holder.pid} on ${hostname()}, since 2026-09-24T20:00:00.000Z`,
    )
    expect(refusal.message).toContain('DATABASE_URL')
    await holder.kill()
  })

  test('is gone with its holder, however that died', async () => {
    const holder = children.start(holding())
    expect(await holder.line()).toBe('held')
    await holder.kill()
    const release = lockStore(file.path, EVENING_MS)
    expect(errorOf(() => lockStore(file.path, EVENING_MS)).message).toContain(`${process.pid}`)
    release()
    lockStore(file.path, EVENING_MS)()
  })

  test('lets others read the store and write to it, as commands do', async () => {
    const holder = children.start(holding())
    expect(await holder.line()).toBe('held')
    const store = await file.open()
    await store.directory.set('alice', accountNumber(7n))
    expect(await store.directory.find('alice')).toBe(7n)
    await holder.kill()
  })

  function errorOf(work: () => unknown): Error {
    try {
      work()
    } catch (error) {
      if (error instanceof Error) return error
    }
    throw new Error('nothing was thrown')
  }
})

describe('migrations', () => {
  test('run again and change nothing', async () => {
    const store = await file.open()
    await store.directory.set('alice', accountNumber(7n))
    const before = schema()
    await store.migrate()
    const again = await file.open()
    expect(await again.directory.find('alice')).toBe(7n)
    expect(schema()).toEqual(before)
    expect(before.length).toBeGreaterThan(15)
  })

  test('started by two processes at once are done once, and both go on', async () => {
    const modules = new ChildModules('src/store/index.ts')
    const code = (payer: string) => `
      import { openStore } from './src/store/index.js'
      const store = openStore(${JSON.stringify(file.path)}, { now: () => 0 })
      await store.migrate()
      await store.directory.set('${payer}', 1n)
      console.log('done')`
    try {
      const both = ['alice', 'bob'].map((payer) => modules.start(code(payer)))
      expect(await Promise.all(both.map((child) => child.line()))).toEqual(['done', 'done'])
      const store = await file.open()
      expect((await store.directory.list(5)).map(({ payer }) => payer)).toEqual(['alice', 'bob'])
    } finally {
      await modules.remove()
    }
  })

  // Goal: dying in the middle of them leaves a store that the next start can finish. Method: a
  // table in the way of the last migration makes them fail after the first ones ran.
  test('are done all together or not at all', async () => {
    raw((database) => database.exec('create table identity (other text)'))
    await expect(openStore(file.path, clock).migrate()).rejects.toThrow('identity')
    const tables = schema().map(({ name }) => name)
    expect(tables).toContain('identity')
    expect(tables).not.toContain('usage_records')
    raw((database) => database.exec('drop table identity'))
    const store = await file.open()
    expect(await store.identity.bind('anchor', '0xabc')).toBe('0xabc')
  })

  test('by a later version are refused, before anything is changed', async () => {
    const store = await file.open()
    raw((database) =>
      database
        .prepare("insert into kysely_migration (name, timestamp) values ('9999_later', 'now')")
        .run(),
    )
    await expect(store.migrate()).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'store_newer',
    })
    await expect(store.migrate()).rejects.toThrow('9999_later')
  })

  // Goal: what somebody is to be told outlives the release that tells of holds, too. Method: all
  // migrations before that one, a notice that waits and one in a message; then it; then ask as ever.
  test('keep the notices that a store has', async () => {
    const db = openSqlite(':memory:')
    try {
      const names = Object.keys(migrations).sort()
      const tellsOfHolds = names.indexOf('0066_hold_changes')
      for (const name of names.slice(0, tellsOfHolds)) await migrations[name]?.up(db)
      await sql`insert into notice_messages (message_id, target, state, tries, made_at_ms, next_at_ms)
        values ('msg_1', 'hook', 'due', 0, 1, 1)`.execute(db)
      const notice = (alarm: string) => encode({ alarm, change: 'raised', raisedAtMs: 5 })
      await sql`insert into notices (target, alarm, raised_at_ms, change, notice, noted_at_ms, message_id)
        values ('hook', 'disk_low', 5, 'raised', ${notice('disk_low')}, 6, 'msg_1'),
          ('hook', 'disk_full', 5, 'raised', ${notice('disk_full')}, 7, null)`.execute(db)
      for (const name of names.slice(tellsOfHolds)) await migrations[name]?.up(db)
      const notices = sqlNotices(db, clock)
      expect(await notices.waiting('hook', 9)).toMatchObject([{ alarm: 'disk_full' }])
      expect((await notices.message('msg_1'))?.notices).toMatchObject([{ alarm: 'disk_low' }])
    } finally {
      await db.destroy()
    }
  })

  function schema(): { name: string; sql: string }[] {
    return raw((database) =>
      database
        .prepare<[], { name: string; sql: string }>('select name, sql from sqlite_master')
        .all(),
    )
  }
})

describe('a transaction', () => {
  test('is done whole', async () => {
    const store = await file.open()
    const result = await store.transaction(async ({ directory, identity }) => {
      await directory.set('alice', accountNumber(7n))
      return identity.bind('anchor', '0xabc')
    })
    expect(result).toBe('0xabc')
    expect(await store.directory.find('alice')).toBe(7n)
  })

  test('is undone whole, in all its tables, and the store goes on', async () => {
    const store = await file.open()
    await store.directory.set('bob', accountNumber(1n))
    const work = store.transaction(async ({ directory, identity, books, records }) => {
      await directory.set('alice', accountNumber(7n))
      await directory.remove('bob')
      await identity.bind('anchor', '0xabc')
      await books.saveReadHeight(5)
      await records.addSource('main', 0)
      throw new Error('in the middle')
    })
    await expect(work).rejects.toThrow('in the middle')
    expect(await store.directory.list(5)).toEqual([{ payer: 'bob', account: 1n }])
    expect(await store.books.readHeight()).toBeUndefined()
    expect(await store.records.sources()).toEqual([])
    expect(await store.identity.bind('anchor', '0xdef')).toBe('0xdef')
  })

  // Goal: a command that writes while the daemon is between reading and writing breaks nothing.
  // Were it let in, SQLite would refuse the daemon's later write at once. Method: it has to wait.
  test('that reads first may write later, because others wait from its begin on', async () => {
    const store = await file.open()
    const write = "insert into directory (payer, account) values ('bob', '00000000000000000002')"
    await store.transaction(async ({ directory }) => {
      expect(await directory.find('alice')).toBeUndefined()
      expect(() => raw((database) => database.exec(write))).toThrow('locked')
      await directory.set('alice', accountNumber(7n))
    })
    raw((database) => database.exec(write))
    expect(await store.directory.list(5)).toEqual([
      { payer: 'alice', account: 7n },
      { payer: 'bob', account: 2n },
    ])
  })

  test('is not seen by others before it is done', async () => {
    const [store, other] = [await file.open(), await file.open()]
    await store.transaction(async ({ directory }) => {
      await directory.set('alice', accountNumber(7n))
      expect(await other.directory.find('alice')).toBeUndefined()
    })
    expect(await other.directory.find('alice')).toBe(7n)
  })
})

// Goal: what was saved outlives the process. Method: a child saves, prints, and is killed.
test('what a killed process had saved is there, what it had begun is not', async () => {
  await file.open()
  const modules = new ChildModules('src/store/index.ts')
  try {
    const child = modules.start(`
      import { openStore } from './src/store/index.js'
      const store = openStore(${JSON.stringify(file.path)}, { now: () => 0 })
      await store.directory.set('saved', 1n)
      await store.transaction(async ({ directory }) => {
        await directory.set('begun', 2n)
        console.log('in the middle')
        await new Promise(() => setInterval(() => {}, 1e6))
      })`)
    expect(await child.line()).toBe('in the middle')
    await child.kill()
    const store = await file.open()
    expect(await store.directory.list(5)).toEqual([{ payer: 'saved', account: 1n }])
  } finally {
    await modules.remove()
  }
})

function raw<Result>(work: (database: Database.Database) => Result): Result {
  const database = new Database(file.path, { timeout: 0 })
  try {
    return work(database)
  } finally {
    database.close()
  }
}

// Goal: a disk that is full costs nothing: the transaction is undone whole, and all goes on when there
// is space again. Method: SQLite is not let have more pages than it has.
describe('a store that cannot grow', () => {
  test('says so, keeps what it had, and goes on when it can', async () => {
    const store = await file.open()
    const db = openSqlite(file.path)
    const pages = async (count: number) =>
      sql<{ max_page_count: bigint }>`pragma max_page_count = ${sql.lit(count)}`.execute(db)
    await pages(1) // Never below what it has.
    const fill = () =>
      db.transaction().execute(async (tx) => {
        for (let row = 0; row < 200; row += 1) {
          const values = { payer: `payer ${row} ${'x'.repeat(500)}`, account: '1' }
          await sql`insert into directory (payer, account) values (${values.payer}, ${values.account})`.execute(
            tx,
          )
        }
      })
    await expect(fill()).rejects.toMatchObject({ name: 'RetryableError', code: 'store_full' })
    expect(await store.directory.list(10)).toEqual([])
    await pages(1_000_000)
    await fill()
    expect(await store.directory.list(300)).toHaveLength(200)
    await db.destroy()
    await file.close(store)
  })

  test('that another process holds says so, and is written when it is let go', async () => {
    const store = await file.open()
    const holder = children.start(`
      import Database from 'better-sqlite3'
      const db = new Database(${JSON.stringify(file.path)})
      db.exec('begin immediate')
      process.stdin.once('data', () => { db.exec('rollback'); console.log('free') })
      console.log('held')`)
    expect(await holder.line()).toBe('held')
    const refused = await store.directory.set('alice', 1n as never).catch((error: unknown) => error)
    expect(refused).toMatchObject({ name: 'RetryableError', code: 'store_busy' })
    await holder.kill()
    await store.directory.set('alice', 1n as never)
    expect(await store.directory.find('alice')).toBe(1n)
    await file.close(store)
  })
})
