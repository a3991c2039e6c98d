import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import { createMapping, mappingConfig } from '../../src/mapping/index.js'
import {
  type AttributeSettings,
  attributeNext,
  mappingVersion,
} from '../../src/pipeline/attribute.js'
import type { Vault } from '../../src/ports/settler.js'
import type { Store } from '../../src/ports/stores.js'
import { defaultPlan } from '../../src/pricing/default-plan.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS, OCTOBER_S, SEPTEMBER_S, usageRecord } from '../support/usage.js'

const AUGUST_S = Date.parse('2026-08-01T00:00:00Z') / 1000

let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(new ManualClock(EVENING_MS))
  store = await file.open()
  await store.records.addSource('main', 0)
})
afterEach(() => file.remove())

const settings = (changes: Partial<AttributeSettings> = {}): AttributeSettings => ({
  payerField: 'user',
  map: createMapping(mappingConfig.parse({})),
  modelAliases: { 'gpt-4*': 'gpt-4' },
  isUnknownModelHeld: false,
  version: JSON.stringify(changes),
  ...changes,
})

const vault = (account: bigint, changes: Partial<Vault> = {}): Vault => ({
  account: accountNumber(account),
  isOpen: true,
  periodKind: 'month',
  openedPeriodStart: AUGUST_S,
  floor: 0,
  plans: [{ fromPeriodStart: 0, planId: '1' }],
  ...changes,
})

const see = (vaults: readonly Vault[], models = ['gpt-4', 'claude']) =>
  store.transaction(({ books }) =>
    books.saveChainView({ vaults, models, plans: new Map([['1', defaultPlan]]) }),
  )

async function save(...records: UsageRecord[]): Promise<void> {
  const range = { fromMs: 0, untilMs: EVENING_MS }
  await store.records.saveSlice('main', { records, rejects: [], range }, EVENING_MS)
}

async function attribute(given = settings()): Promise<void> {
  while ((await attributeNext({ ...store, settings: given })) === 'advanced');
}

async function attributed(given = settings()) {
  await attribute(given)
  const version = await mappingVersion({ ...store, settings: given })
  return store.records.attributed(version ?? '', 5_000)
}

async function reasons(given = settings()): Promise<string[]> {
  await attribute(given)
  return (await store.records.unmappedPayers(100)).map(({ reason }) => reason)
}

test('nothing is decided before Flow was read', async () => {
  await save(usageRecord('a', { user: '7' }))
  expect(await attributeNext({ ...store, settings: settings() })).toBe('idle')
  expect((await store.records.counts()).unattributed).toBe(1)
})

describe('a record', () => {
  test('goes to its vault, period and model', async () => {
    await see([vault(7n), vault(9n, { periodKind: 'week', openedPeriodStart: 0 })])
    await store.directory.set('alice', accountNumber(9n))
    await save(
      usageRecord('a', { user: 'vault_7', model: 'gpt-4-turbo' }),
      usageRecord('b', { user: 'alice', model: 'claude' }),
      usageRecord('c', { user: '7', model: 'unheard-of', startedAtMs: AUGUST_S * 1000 }),
    )
    const monday = Date.parse('2026-09-21T00:00:00Z') / 1000
    const found = (await attributed()).map((record) => [
      record.key.requestId,
      record.account,
      record.periodStart,
      record.modelId,
    ])
    expect(found).toEqual([
      ['c', 7n, AUGUST_S, 0],
      ['a', 7n, SEPTEMBER_S, 1],
      ['b', 9n, monday, 2],
    ])
  })

  test.each([
    ['nobody', [vault(7n)], /^directory: is not in .*; prefix: .*; direct: /],
    ['', [vault(7n)], 'none: the record names no payer'],
    ['default_user_id', [vault(7n)], 'none: this is LiteLLM itself'],
    ['8', [vault(7n)], 'direct: account 8 is no vault of this provider on Flow'],
    ['7', [vault(7n, { isOpen: false })], 'direct: account 7 is closed'],
    [
      'vault_7',
      [vault(7n, { openedPeriodStart: OCTOBER_S })],
      'prefix: account 7 was opened in a later billing period',
    ],
    ['7', [vault(7n, { floor: OCTOBER_S })], 'direct: account 7 no longer takes this period'],
  ] as const)('of %j waits with its reason', async (user, vaults, reason) => {
    await see(vaults)
    await save(usageRecord('a', { user }))
    const [found] = await reasons()
    if (typeof reason === 'string') expect(found).toBe(reason)
    else expect(found).toMatch(reason)
    expect(await attributed()).toEqual([])
  })

  test('of a model without a rate waits where such models are held', async () => {
    await see([vault(7n)])
    await save(usageRecord('a', { user: '7', model: 'unheard-of' }))
    const held = settings({ isUnknownModelHeld: true })
    expect(await reasons(held)).toEqual(['unpriced: model "unheard-of" has no rate'])
    expect(await attributed()).toMatchObject([{ modelId: 0 }])
  })

  test('that began beyond what an entry can say waits, and stops no other', async () => {
    await see([vault(7n)])
    const beyond = Date.parse('2200-01-01T00:00:00Z')
    await save(
      usageRecord('a', { user: '7' }),
      usageRecord('b', { user: '7', startedAtMs: beyond }),
    )
    expect((await attributed()).map(({ key }) => key.requestId)).toEqual(['a'])
    expect(await reasons()).toEqual(['began beyond any billing period'])
  })

  test.each([
    ['user', '7'],
    ['api_key', '9'],
    ['team_id', '11'],
    ['end_user', '13'],
  ] as const)('is paid by its %s where the settings say so', async (payerField, number) => {
    await see([vault(7n), vault(9n), vault(11n), vault(13n)])
    const payers = { user: '7', api_key: '9', team_id: '11', end_user: '13' }
    await save({ ...usageRecord('a'), payers })
    expect(await attributed(settings({ payerField }))).toMatchObject([{ account: BigInt(number) }])
  })
})

describe('what changes is looked at again', () => {
  test.each([
    ['a vault opens', () => see([vault(7n), vault(8n)])],
    ['the directory has the payer', () => store.directory.set('8', accountNumber(7n))],
  ])('when %s, waiting records find it', async (_, change) => {
    await see([vault(7n)])
    await save(usageRecord('a', { user: '8' }))
    expect(await attributed()).toEqual([])
    expect(await attributeNext({ ...store, settings: settings() })).toBe('idle')
    await change()
    expect(await attributed()).toHaveLength(1)
    expect((await store.records.counts()).unmapped).toBe(0)
  })

  test('when a vault closes, records that are in no batch wait again', async () => {
    await see([vault(7n)])
    await save(usageRecord('a', { user: '7' }))
    expect(await attributed()).toHaveLength(1)
    await see([vault(7n, { isOpen: false })])
    expect(await attributed()).toEqual([])
    expect(await reasons()).toEqual(['direct: account 7 is closed'])
  })

  test('when a model is registered, records get its number', async () => {
    await see([vault(7n)], ['claude'])
    await save(usageRecord('a', { user: '7', model: 'gpt-4' }))
    expect(await attributed()).toMatchObject([{ modelId: 0 }])
    await see([vault(7n)], ['claude', 'gpt-4'])
    expect(await attributed()).toMatchObject([{ modelId: 2 }])
  })

  test('and nothing that was found before is taken for the new mapping', async () => {
    await see([vault(7n)])
    await save(usageRecord('a', { user: '7' }))
    await attribute()
    const before = await mappingVersion({ ...store, settings: settings() })
    await see([vault(7n), vault(8n)])
    const after = await mappingVersion({ ...store, settings: settings() })
    expect(after).not.toBe(before)
    expect(await store.records.attributed(after ?? '', 10)).toEqual([])
  })
})

test('more records than a step takes are all attributed', async () => {
  await see([vault(7n)])
  await save(...Array.from({ length: 2_345 }, (_, i) => usageRecord(`r${i}`, { user: '7' })))
  expect(await attributed()).toHaveLength(2_345)
  expect((await store.records.counts()).unattributed).toBe(0)
})

// Goal: what is saved under a version is what that version says. Method: while payers are mapped, another
// process tries to change the operator's table, as it might change it back right after.
test('nobody changes the tables while records are mapped by them', async () => {
  await see([vault(7n)])
  await save(usageRecord('a', { user: '7' }))
  const other = new Database(file.path, { timeout: 0 })
  const refused: unknown[] = []
  const map: AttributeSettings['map'] = (payer, data) => {
    try {
      other.exec("insert into directory (payer, account) values ('7', '00000000000000000009')")
    } catch (error) {
      refused.push(error instanceof Database.SqliteError ? error.code : error)
    }
    return settings().map(payer, data)
  }
  await attribute(settings({ map }))
  other.close()
  expect(refused).toEqual(['SQLITE_BUSY'])
  expect(await store.directory.list(9)).toEqual([])
})
