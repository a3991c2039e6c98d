import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALL_ACCOUNTS, accountNumber } from '../../src/domain/ids.js'
import type { StrategyConfig } from '../../src/mapping/config.js'
import { createMapping, mappingConfig, payerFieldOf } from '../../src/mapping/index.js'
import { createDirectories } from '../../src/operator/index.js'
import { type RefreshPass, refreshNext } from '../../src/pipeline/refresh-directory.js'
import { MeteringWorld, signal } from '../support/metering-world.js'
import { startPostgres } from '../support/test-postgres.js'
import { usageRecord } from '../support/usage.js'

let metering: MeteringWorld
beforeEach(async () => {
  metering = await MeteringWorld.create()
})
afterEach(() => metering.remove())

async function refresherOf(strategy: object, databaseUrl = '') {
  const settings = metering.settings({ chain: [strategy, { kind: 'direct' }] })
  const chain = mappingConfig.parse({ chain: [strategy] }).chain as StrategyConfig[]
  const [directory] = await createDirectories(chain, () => databaseUrl, metering.folder)
  if (directory === undefined) throw new Error('no directory')
  const pass: RefreshPass = {}
  const { clock } = metering.world
  const parts = { ...metering.store, directory, settings, clock }
  const refresh = async () => {
    while ((await refreshNext(parts, pass, signal)) === 'advanced');
  }
  return { settings, refresh, directory }
}

/** Of one answer: after one that took longer, a thread is started, too. */
const LIMIT_MS = 3_000

describe('a module of the operator', () => {
  const MODULE = `export async function accountOf(payer) {
    if (payer === 'loop') for (;;);
    if (payer === 'late') await new Promise(() => {})
    if (payer === 'throws') throw new Error('crm is down')
    if (payer === 'odd') return 1.5
    if (payer === 'env') return process.env.PATH === undefined ? 3 : 2
    return { alice: 1, bob: '2', carol: 3n }[payer]
  }`

  test('says whose account it is, within its time limit, and no other rule says it instead', async () => {
    metering.file('crm.mjs', MODULE)
    const strategy = { kind: 'module', name: 'crm', path: 'crm.mjs', timeoutMs: LIMIT_MS }
    const { settings, refresh, directory } = await refresherOf(strategy)
    const users = ['alice', 'bob', 'carol', 'loop', 'late', 'throws', 'odd', 'env', '2', 'eve']
    await metering.insert(...users.map((user) => usageRecord(`r-${user}`, { user })))

    await metering.attribute(settings)
    expect(new Set(Object.values(await metering.waiting()))).toEqual(
      new Set(['module/crm: was not asked yet']),
    )
    await refresh()
    await metering.attribute(settings)
    expect(await metering.waiting()).toEqual({
      ...{ alice: undefined, bob: undefined, carol: undefined, env: undefined },
      '2': undefined, // The module knows no account of it, so `direct` is asked.
      loop: `module/crm: failed: no answer within ${LIMIT_MS} ms`,
      late: `module/crm: failed: no answer within ${LIMIT_MS} ms`,
      throws: 'module/crm: failed: Error: crm is down',
      odd: 'module/crm: gave no account number',
      eve: expect.stringMatching(/^module\/crm: knows no account of it; direct: /),
    })
    const version = await metering.store.directories.version(['crm'])
    metering.world.clock.pass(61_000)
    await refresh()
    expect(await metering.store.directories.version(['crm'])).toBe(version)
    await directory.close()
  })
})

describe('a query on the operator’s database', () => {
  const query = 'select login, vault from customers where active = 1'

  test('SQLite: the whole table, followed as it changes, and kept when it cannot be read', async () => {
    const file = metering.file('crm.sqlite', '')
    const crm = new Database(file)
    crm.exec(`create table customers (login text, vault, active integer);
      insert into customers values ('alice', 1, 1), ('bob', '2', 1), ('gone', 3, 0),
        ('twice', 1, 1), ('twice', 2, 1), ('big', 9007199254740993, 1)`)
    const strategy = { kind: 'sql', name: 'crm', databaseUrlEnv: 'CRM', query, refreshMs: 1_000 }
    const { settings, refresh, directory } = await refresherOf(strategy, `sqlite:${file}`)
    const users = ['alice', 'bob', 'gone', 'twice', '3']
    await metering.insert(...users.map((user) => usageRecord(`r-${user}`, { user })))
    await metering.attribute(settings)
    expect((await metering.waiting())['3']).toBe('sql/crm: was not read yet')

    await refresh()
    await metering.attribute(settings)
    const waiting = await metering.waiting()
    expect([waiting.alice, waiting.bob, waiting['3']]).toEqual([undefined, undefined, undefined])
    expect(waiting.gone).toContain('sql/crm: the query has no row of it')
    expect(waiting.twice).toBe('sql/crm: is on several rows with different accounts')
    const found = await metering.store.directories.find('crm', ['big'])
    expect(found.get('big')).toEqual({ account: 9_007_199_254_740_993n })

    crm.exec("delete from customers where login = 'bob'; update customers set active = 1")
    metering.world.clock.pass(1_000)
    await refresh()
    await metering.attribute(settings)
    expect((await metering.waiting()).bob).toContain('the query has no row of it')
    expect((await metering.waiting()).gone).toBeUndefined()

    crm.exec('drop table customers')
    crm.close()
    metering.world.clock.pass(1_000)
    await expect(refresh()).rejects.toMatchObject({ code: 'directory_unreachable' })
    const [state] = await metering.store.directories.states()
    expect(state).toMatchObject({
      name: 'crm',
      entries: 3,
      problem: expect.stringContaining('no such table'),
    })
    await metering.attribute(settings)
    expect((await metering.waiting()).alice).toBeUndefined()
    await directory.close()
  })

  test('PostgreSQL: the same, and it cannot write', async () => {
    const postgres = await startPostgres()
    try {
      await postgres.query(
        'postgres',
        'create table customers (login text, vault numeric, active int)',
      )
      await postgres.query(
        'postgres',
        "insert into customers values ('alice', 1, 1), ('max', 18446744073709551615, 1)",
      )
      const strategy = { kind: 'sql', name: 'crm', databaseUrlEnv: 'CRM', query: `${query};` }
      const { refresh } = await refresherOf(strategy, postgres.url('postgres'))
      await refresh()
      const found = await metering.store.directories.find('crm', ['alice', 'max'])
      expect([...found.values()]).toEqual([{ account: 1n }, { account: 2n ** 64n - 1n }])

      await postgres.query('postgres', 'create sequence numbers')
      const writing = {
        ...strategy,
        query: "select nextval('numbers')::text, 1",
      }
      const other = await refresherOf(writing, postgres.url('postgres'))
      await expect(other.refresh()).rejects.toMatchObject({
        code: 'directory_unreachable',
        message: expect.stringContaining('read-only transaction'),
      })
    } finally {
      await postgres.stop()
    }
  })
})

describe('the number that older integrations gave', () => {
  const chain = [{ kind: 'directory' }, { kind: 'legacy_hash' }]

  // md5('alice') begins with 6384e2b2, which is 1669653170.
  test('is the first 32 bits of md5, modulo a million', () => {
    const map = createMapping(mappingConfig.parse({ chain }))
    expect(map('alice', { directory: new Map() })).toMatchObject({
      account: 653_170n,
      strategy: 'legacy_hash',
    })
  })

  test('is refused to both who share it, until the directory tells them apart', async () => {
    const [one, other, account] = collision()
    await metering.remove()
    metering = await MeteringWorld.create([account, 7n])
    const settings = metering.settings({ chain })
    await metering.insert(usageRecord('a', { user: one }))
    await metering.attribute(settings)
    expect(await metering.waiting()).toEqual({ [one]: undefined })

    await metering.insert(usageRecord('b', { user: other }))
    await metering.attribute(settings)
    expect(await metering.waiting()).toEqual({
      [one]: `directory: is not in the directory; legacy_hash: account ${account} would be shared with "${other}": name both in the directory`,
      [other]: `directory: is not in the directory; legacy_hash: account ${account} would be shared with "${one}": name both in the directory`,
    })
    await metering.store.directory.set(other, accountNumber(7n))
    await metering.attribute(settings)
    expect(await metering.waiting()).toEqual({ [one]: undefined, [other]: undefined })
  })

  /** Two users with one number, found as operators find them: by having a few thousand users. */
  function collision(): [string, string, bigint] {
    const map = createMapping(mappingConfig.parse({ chain: [{ kind: 'legacy_hash' }] }))
    const seen = new Map<bigint, string>()
    for (let i = 0; ; i += 1) {
      const user = `user-${i}`
      const { account = 0n } = map(user, { directory: new Map() })
      const before = seen.get(account)
      if (before !== undefined) return [before, user, account]
      seen.set(account, user)
    }
  }
})

describe('the payer', () => {
  test('is another field for some sources', () => {
    const config = mappingConfig.parse({ sources: { teams: { payerField: 'team_id' } } })
    expect(payerFieldOf(config, 'teams')).toBe('team_id')
    expect(payerFieldOf(config, 'main')).toBe('user')
    expect(payerFieldOf(config, '__proto__')).toBe('user')
  })

  test('is the end user only where the operator says that it can be trusted', () => {
    for (const refused of [
      { payerField: 'end_user' },
      { sources: { main: { payerField: 'end_user' } } },
      { trustEndUser: true, sources: { main: { payerField: 'end_user' } } },
    ]) {
      expect(mappingConfig.safeParse(refused).error?.message).toContain('trustEndUser')
    }
    const trusted = { payerField: 'end_user', trustEndUser: true }
    expect(mappingConfig.safeParse(trusted).success).toBe(true)
    expect(mappingConfig.safeParse({ sources: { main: trusted } }).success).toBe(true)
  })

  test('named by nobody can be released to an account: what waits now, and no more', async () => {
    const settings = metering.settings()
    await metering.insert(usageRecord('a', { user: '' }), usageRecord('b', { user: '' }))
    await metering.attribute(settings)
    const choice = { source: 'main', field: 'user', payer: '' } as const
    expect(await metering.store.payers.release(choice, accountNumber(2n))).toBe(2)
    await metering.insert(usageRecord('c', { user: '' }))
    await metering.seal(settings)
    const totals = await metering.store.totals.rows(ALL_ACCOUNTS)
    expect(totals.map(({ accountNumber: account, requests }) => [account, requests])).toEqual([
      [2n, 2n],
    ])
    expect(await metering.waiting()).toEqual({ '': expect.stringContaining('names no payer') })
    expect(await metering.store.payers.release(choice, accountNumber(3n))).toBe(1)
  })
})
