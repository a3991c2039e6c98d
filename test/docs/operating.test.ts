import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.js'
import { parseUfix64 } from '../../src/domain/money.js'
import { metricsOf } from '../../src/http/metrics.js'
import { computeChecks } from '../../src/pipeline/checks.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { Conservation } from '../../src/ports/settler.js'
import type { Store } from '../../src/ports/stores.js'
import { openStore } from '../../src/store/index.js'
import { tempFolder } from '../cli/run-cli.js'
import { COMPLETE_ENV } from '../cli/settings.js'
import { ManualClock } from '../support/manual-clock.js'
import { seenOf } from '../support/seen.js'

// Goal: the operator's page names what is there, and all of it.
// Method: ask the program for its settings, status fields, checks, metrics and error codes.

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/operating.md'), 'utf8')
const named = new Set([...page.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text))
const clock = new ManualClock(Date.UTC(2026, 8, 21))

/** A contract without a vault. */
const none = parseUfix64('0.0')
const NOTHING: Conservation = { pool: none, vaultBalances: none, earnings: none }

async function checksOf(store: Store) {
  return computeChecks(store, await seenOf(store, NOTHING))
}

async function emptyStore() {
  const store = openStore(':memory:', clock)
  await store.migrate()
  return store
}

test('every setting that it names is in .env.example', () => {
  const example = readFileSync(join(root, '.env.example'), 'utf8')
  const settings = new Set([...example.matchAll(/^#?([A-Z_]+)=/gm)].map(([, name]) => name))
  const spoken = [...named].flatMap(
    (text) => /^([A-Z]+(?:_[A-Z]+)+)(?:=.*)?$/.exec(text)?.[1] ?? [],
  )
  expect(spoken.length).toBeGreaterThan(10)
  const unknown = spoken.filter((name) => !settings.has(name.replace(/_FILE$/, '')))
  expect(unknown.filter((name) => !settings.has(name))).toEqual([])
})

test('its flowmeter.config.json is one', () => {
  const [, json = ''] = /```json flowmeter\.config\.json\n(.*?)```/s.exec(page) ?? []
  const path = join(tempFolder(), 'example.json')
  const env = { ...COMPLETE_ENV, WEST_KEY: 'one', EAST_KEY: 'two', FLOWMETER_CONFIG: path }
  writeFileSync(path, json)
  const config = loadConfig(env, tempFolder())
  expect(config.sources.map(({ name }) => name)).toEqual(['west', 'east'])
  expect(config.mapping.chain).toHaveLength(3)
})

describe('/status', () => {
  test('every field has its line', async () => {
    const store = await emptyStore()
    await store.books.saveChecks(await checksOf(store), NOTHING, clock.now())
    const status = await readStatus({ stores: store, clock, version: '1', identity: {} })
    const fields = [...Object.keys(status), 'lastBatch', 'lastSettled']
    const table = page.slice(page.indexOf('| field |'))
    const told = new Set([...table.matchAll(/`(\w+)[`[.]/g)].map(([, name]) => name))
    expect(fields.filter((field) => !told.has(field))).toEqual([])
    expect(Object.keys(status.backlog).filter((state) => !named.has(state))).toEqual([])
    await store.close()
  })

  test('every check is explained', async () => {
    const store = await emptyStore()
    const checks = Object.keys(await checksOf(store))
    expect(checks.length).toBeGreaterThan(5)
    expect(checks.filter((check) => !named.has(check))).toEqual([])
    await store.close()
  })
})

test('every metric that it names is there', async () => {
  const store = await emptyStore()
  const metrics = metricsOf(() => readStatus({ stores: store, clock, version: '1', identity: {} }))
  const text = await metrics.text()
  const spoken = [...named].flatMap((one) => /^(flowmeter_\w+)/.exec(one)?.[1] ?? [])
  expect(spoken.length).toBeGreaterThan(0)
  expect(spoken.filter((name) => !text.includes(`# TYPE ${name} `))).toEqual([])
  await store.close()
})

test('every code under "By symptom" is one of the program’s', () => {
  const table = page.slice(page.indexOf('## By symptom'), page.indexOf('## Backup'))
  const codes = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, code = '']) => code)
  expect(codes.length).toBeGreaterThan(15)
  const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(root, 'src', path), 'utf8'))
    .join('\n')
  // Adapters put their port's name before some of their codes.
  const isThere = (code: string): boolean =>
    source.includes(`'${code}'`) ||
    (/^(source|attestor|settler)_/.test(code) && source.includes(`_${code.split('_')[1]}`))
  expect(codes.filter((code) => !isThere(code))).toEqual([])
})
