import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'
import { loadConfig } from '../../src/config.js'
import { collectNext } from '../../src/pipeline/collect.js'
import type { Store } from '../../src/ports/stores.js'
import {
  createSource,
  secretVariablesOf,
  sourceConfig,
  sourcesConfig,
} from '../../src/sources/index.js'
import { openStore } from '../../src/store/index.js'
import { COMPLETE_ENV } from '../cli/settings.js'
import { ManualClock } from '../support/manual-clock.js'

const NOON_MS = Date.UTC(2026, 10, 21, 12)
const HOUR_MS = 3_600_000
const { signal } = new AbortController()
const clock = new ManualClock(NOON_MS)

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function startOne(seed: number): Promise<Litellm> {
  const traffic = { seed, fromMs: NOON_MS - 6 * HOUR_MS, untilMs: NOON_MS + HOUR_MS, calls: 400 }
  const litellm = await startLitellm({ nowMs: () => clock.now(), traffic, metadata: 'thin' })
  ends.push(() => litellm.stop())
  return litellm
}

async function makeStore(): Promise<Store> {
  const store = openStore(':memory:', clock)
  await store.migrate()
  ends.push(() => store.close())
  return store
}

/** One pass of one source's worker, as the daemon runs it. */
async function collect(store: Store, name: string, { url, masterKey }: Litellm): Promise<void> {
  const config = sourceConfig.parse({ kind: 'litellm', name, apiUrl: url })
  const source = await createSource(config, () => masterKey, store.readings)
  const settings = { settleMs: 0, overlapMs: 2 * HOUR_MS }
  const pass = {}
  for (let steps = 0; steps < 500; steps += 1) {
    if ((await collectNext({ ...store, source, clock, settings }, pass, signal)) === 'idle') return
  }
  throw new Error('never idle')
}

async function sumOf(store: Store, source: string) {
  const records = await store.records.unattributed('none', 100_000)
  const own = records.filter(({ key }) => key.source === source)
  return {
    requests: BigInt(own.length),
    promptTokens: own.reduce((sum, { promptTokens }) => sum + promptTokens, 0n),
  }
}

function truthOf(litellm: Litellm, fromMs: number) {
  const rows = litellm.truth({ fromMs, untilMs: clock.now() })
  return {
    requests: rows.reduce((sum, { requests }) => sum + requests, 0n),
    promptTokens: rows.reduce((sum, { promptTokens }) => sum + promptTokens, 0n),
  }
}

// Goal: several instances are several sources in every respect. Method: two simulators with other
// traffic, begun at other instants, one of them down for a while; compared with their own sums.
describe('two LiteLLMs at once', () => {
  test('each has its own cursor and beginning; one that is down stops no other', async () => {
    const [west, east] = [await startOne(1), await startOne(2)]
    const store = await makeStore()
    await store.records.addSource('west', NOON_MS - 5 * HOUR_MS)
    await store.records.addSource('east', NOON_MS - HOUR_MS)
    const mend = east.addFault({ kind: 'noDatabase', times: Number.POSITIVE_INFINITY })

    await collect(store, 'west', west)
    await expect(collect(store, 'east', east)).rejects.toMatchObject({ code: 'source_no_database' })
    const [down, up] = await store.records.sources()
    expect(up).toMatchObject({ name: 'west', readUntilMs: NOON_MS, problem: undefined })
    expect(down).toMatchObject({ name: 'east', readUntilMs: NOON_MS - HOUR_MS })
    expect(down?.problem?.code).toBe('source_no_database')

    mend()
    await collect(store, 'east', east)
    expect(await sumOf(store, 'west')).toEqual(truthOf(west, NOON_MS - 5 * HOUR_MS))
    // The overlap reaches back to 10:00, its beginning does not.
    expect(await sumOf(store, 'east')).toEqual(truthOf(east, NOON_MS - HOUR_MS))
    expect((await sumOf(store, 'east')).requests).toBeGreaterThan(10n)
  })

  test('a known source keeps its cursor, whatever its settings say later', async () => {
    const store = await makeStore()
    await store.records.addSource('west', NOON_MS)
    await store.records.addSource('west', NOON_MS - 9 * HOUR_MS)
    const state = await store.records.source('west')
    expect(state).toMatchObject({ readUntilMs: NOON_MS, collectFromMs: NOON_MS })
  })
})

describe('settings', () => {
  const west = { kind: 'litellm', name: 'west', apiUrl: 'https://west.example/litellm/' }
  const east = { ...west, name: 'east', apiUrl: 'https://east.example' }
  const database = { kind: 'litellm-postgres', name: 'rows' }
  const sums = {
    ...{ kind: 'grouped-usage', name: 'sums', endpoint: 'usage', apiKeyEnv: 'GW_KEY' },
    apiUrl: 'https://gw.example',
  }
  const problemsOf = (...sources: readonly object[]) =>
    sourcesConfig
      .safeParse(sources)
      .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? []

  test('several of any kind, each with its own beginning', () => {
    const events = { kind: 'usage-events', name: 'meter', tokenEnv: 'METER_TOKEN' }
    const sources = [{ ...west, collectFrom: '2026-11-01' }, east, database, sums, events]
    const parsed = sourcesConfig.parse(sources)
    expect(parsed.map(({ collectFrom }) => collectFrom)).toEqual([
      '2026-11-01',
      ...[undefined, undefined, undefined, undefined],
    ])
    expect(parsed.flatMap(secretVariablesOf)).toEqual([
      ...['LITELLM_API_KEY', 'LITELLM_API_KEY', 'LITELLM_DATABASE_URL', 'GW_KEY', 'METER_TOKEN'],
    ])
  })

  test('one name twice is refused, whatever the kinds', () => {
    expect(problemsOf(west, { ...east, name: 'west' }, { ...database, name: 'west' })).toEqual([
      expect.stringMatching(/^1\.name: "west" is the name of another source/),
      expect.stringMatching(/^2\.name: "west" is the name of another source/),
    ])
  })

  test('what is wrong among them ends the start, with every variable that is missing', () => {
    const folder = mkdtempSync(join(tmpdir(), 'flowmeter-sources-'))
    ends.push(async () => rmSync(folder, { recursive: true }))
    const load = (...sources: readonly object[]) => {
      writeFileSync(join(folder, 'flowmeter.config.json'), JSON.stringify({ sources }))
      return () => loadConfig(COMPLETE_ENV, folder)
    }
    expect(load(west, { ...east, name: 'west' })).toThrow(
      'flowmeter.config.json, sources.1.name: "west" is the name of another source',
    )
    const events = { kind: 'usage-events', name: 'meter', tokenEnv: 'METER_TOKEN' }
    const hinted = { ...west, hintTokenEnv: 'WEST_HINT' }
    for (const missing of ['LITELLM_DATABASE_URL', 'GW_KEY', 'METER_TOKEN', 'WEST_HINT']) {
      expect(load(hinted, database, sums, events)).toThrow(`${missing}: is missing`)
    }
  })

  test('the sums of a gateway are not read beside its rows, nor twice', () => {
    const mixed = { ...sums, apiUrl: 'http://west.example' }
    expect(problemsOf(west, mixed)[0]).toMatch(/^1\.apiUrl: source "west" reads this gateway too/)
    expect(problemsOf(mixed, west)[0]).toMatch(/^1\.apiUrl: source "sums" reads this gateway too/)
    expect(problemsOf(sums, { ...sums, name: 'again', bucket: 'hour' })).toHaveLength(1)
    const besides = { ...sums, apiUrl: 'https://west.example/litellm-2' }
    expect(problemsOf(west, besides)).toEqual([])
  })

  test('one proxy may be read with two keys, as of two teams: rows have ids', () => {
    expect(problemsOf(west, { ...west, name: 'team-b', apiKeyEnv: 'TEAM_B_KEY' })).toEqual([])
  })

  test.each([
    ['an unknown kind', { ...west, kind: 'guess' }],
    ['a beginning that is no date', { ...west, collectFrom: 'yesterday' }],
    ['an unknown setting', { ...sums, from: 'now' }],
    ['a token in place of its variable', { kind: 'usage-events', name: 'm', token: 'canary' }],
  ])('%s is refused, and not shown', (_name, source) => {
    const [problem] = problemsOf(source)
    expect(problem).toBeDefined()
    expect(problem).not.toContain('canary')
  })
})
