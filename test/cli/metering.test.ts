import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'
import { parseDirectoryFile } from '../../src/cli/directory-file.js'
import { accountNumber } from '../../src/domain/ids.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { usageRecord } from '../support/usage.js'
import { type Ran, runCli, tempFolder } from './run-cli.js'
import { COMPLETE_ENV } from './settings.js'

const MONDAY_MS = Date.UTC(2026, 10, 16)
const DAY_MS = 86_400_000

const running: Litellm[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((litellm) => litellm.stop()))
})

/** A folder with a store as a daemon leaves it, and settings. */
async function operator(settings: object = {}) {
  const cwd = tempFolder()
  writeFileSync(join(cwd, 'flowmeter.config.json'), JSON.stringify(settings))
  const path = join(cwd, 'data/flowmeter.sqlite')
  const store = openStore(path, new ManualClock(MONDAY_MS))
  await store.migrate()
  await store.records.addSource('main', MONDAY_MS)
  const env = { ...COMPLETE_ENV, LITELLM_SOURCE_NAME: 'main' }
  const run = (args: readonly string[], more: Record<string, string> = {}): Promise<Ran> =>
    runCli(args, { cwd, env: { ...env, ...more } })
  return { cwd, store, run }
}

describe('flowmeter map', () => {
  test('--explain: the field, every step, those not asked, and what is known of the vault', async () => {
    const { cwd, store, run } = await operator({
      mapping: {
        sources: { teams: { payerField: 'team_id' } },
        chain: [{ kind: 'module', path: 'crm.mjs' }, { kind: 'direct' }, { kind: 'hash' }],
      },
    })
    writeFileSync(
      join(cwd, 'crm.mjs'),
      "export const accountOf = (payer) => (payer === 'alice' ? 12 : undefined)",
    )
    await store.close()
    const { code, stdout } = await run(['map', '7', '--explain', '--source', 'teams'])
    expect(stdout.trimEnd().split('\n')).toEqual([
      '"7" is charged to account 7, by direct',
      '  payer: the field "team_id" of the record',
      '  module/module: knows no account of it',
      '  direct: account 7',
      '  hash: not asked',
      '  vault 7: not known: the daemon has not read the vaults from Flow yet',
    ])
    expect(code).toBe(0)
    expect((await run(['map', 'alice'])).stdout).toContain('account 12, by module/module')
  })

  test('--all, unmapped list and release', async () => {
    const { store, run } = await operator()
    const range = { fromMs: 0, untilMs: 1 }
    const records = [usageRecord('a', { user: '' }), usageRecord('b', { user: 'eve' })]
    await store.records.saveSlice('main', { records, rejects: [], range }, 0)
    const key = { source: 'main', requestId: 'a' }
    await store.records.saveAttributions('v', [{ key, reason: 'the record names no payer' }])

    const all = JSON.parse((await run(['map', '--all', '--json'])).stdout)
    expect(all).toMatchObject({ payers: 2, records: 2 })
    const reasons = all.unmapped.map((one: { payer: string; reason: string }) => [
      one.payer,
      one.reason,
    ])
    expect(Object.fromEntries(reasons)).toEqual({
      '': 'none: the record names no payer',
      eve: expect.stringContaining('directory: is not in the directory'),
    })
    const listed = JSON.parse((await run(['unmapped', 'list', '--json'])).stdout)
    expect(listed.unmapped).toMatchObject([{ payer: '', records: 1, tokens: '150' }])

    const released = await run(['unmapped', 'release', '', '--to', '5'])
    expect(released.stdout).toBe(
      '1 records of "" go to account 5\n' +
        '  vault 5: not known: the daemon has not read the vaults from Flow yet\n',
    )
    expect(await store.payers.released([key])).toEqual(new Map([['main\na', 5n]]))
    expect((await run(['unmapped', 'release', 'nobody'])).code).toBe(2)
    expect((await run(['unmapped', 'release', '', '--to', '05'])).code).toBe(2)
    await store.close()
  })
})

describe('flowmeter quarantine', () => {
  test('shows what waits for a decision, takes the decision once, and says what it did', async () => {
    const { store, run } = await operator()
    await store.records.addSource('again', MONDAY_MS)
    const save = (source: string, ...records: ReturnType<typeof usageRecord>[]) =>
      store.records.saveSlice(
        source,
        {
          ...{ records, rejects: [], areIdsGlobal: true },
          range: { fromMs: MONDAY_MS, untilMs: MONDAY_MS + 1 },
        },
        0,
      )
    await save('main', usageRecord('a'), usageRecord('f', { excluded: 'held_failure' }))
    await save('main', usageRecord('a', { promptTokens: 900n }))
    await save('main', usageRecord('a', { promptTokens: 901n }))
    await save('again', usageRecord('a', { source: 'again' }))
    await save('again', usageRecord('b', { source: 'again', excluded: 'held_failure' }))

    const { stdout } = await run(['quarantine', 'list', '--source', 'main'])
    expect(stdout).toMatch(/main\/a: other promptTokens than the row read first; --row 0x/)
    expect(stdout).toContain('"alice", gpt-4, 901 + 50 tokens')
    expect(stdout).toContain('main/f: held_failure')
    const listed = JSON.parse((await run(['quarantine', 'list', '--json'])).stdout).quarantine
    expect(listed).toHaveLength(5)

    const vague = await run(['quarantine', 'count', 'a', '--source', 'main'])
    expect(vague).toMatchObject({ code: 2, stderr: expect.stringContaining('2 rows have this id') })
    const { rowHash } = listed.find((row: { promptTokens: string }) => row.promptTokens === '900')
    const row = ['a', '--row', rowHash.slice(0, 12)]
    const counted = await run(['quarantine', 'count', ...row, '--instead'])
    expect(counted).toMatchObject({ code: 0, stdout: 'main/a counts from now on\n' })
    expect((await run(['quarantine', 'count', ...row])).code).toBe(2)
    const dismissed = await run(['quarantine', 'dismiss', 'a', '--reason', 'twin_source'])
    expect(dismissed).toMatchObject({ code: 0, stdout: 'again/a is left uncounted\n' })
    const all = ['--all', '--source', 'again', '--reason', 'held_failure']
    expect((await run(['quarantine', 'count', ...all])).stdout).toBe('again/b counts from now on\n')

    const waiting = await store.records.unattributed('v', 10)
    expect(waiting.map(({ key, promptTokens }) => [key.source, promptTokens])).toEqual([
      ['main', 900n],
      ['again', 100n],
    ])
    await store.close()
  })

  test('refuses what it cannot know the meaning of, and lists what could not be read', async () => {
    const { store, run } = await operator()
    const range = { fromMs: MONDAY_MS, untilMs: MONDAY_MS + 1 }
    const reject = { source: 'main', requestId: 'odd', reason: 'prompt_tokens: expected number' }
    await store.records.saveSlice('main', { records: [], rejects: [reject], range }, 0)
    await store.close()
    for (const args of [
      ['count'],
      ['count', 'nobody'],
      ['count', 'a', '--all', '--source', 'main', '--reason', 'changed'],
      ['dismiss', '--all', '--source', 'main'],
      ['dismiss', 'a', '--instead'],
      ['list', '--reason', 'because'],
      ['list', '--limit', '0'],
    ]) {
      expect([args, (await run(['quarantine', ...args])).code]).toEqual([args, 2])
    }
    expect((await run(['quarantine', 'list'])).stdout).toBe('No row waits for a decision.\n')
    expect((await run(['quarantine', 'rejects'])).stdout).toContain(
      'prompt_tokens: expected number',
    )
  })
})

describe('flowmeter directory import', () => {
  test('takes a table in, whole or not at all', async () => {
    const { cwd, store, run } = await operator()
    const write = (text: string) => writeFileSync(join(cwd, 'table'), text)
    write('payer,account\nalice,1\n"o""hara, x",18446744073709551615\n')
    expect(await run(['directory', 'import', 'table', '--dry-run'])).toMatchObject({ code: 0 })
    expect(await store.directory.list(10)).toEqual([])
    expect((await run(['directory', 'import', 'table'])).stdout).toBe('2 payers are imported\n')
    expect(await store.directory.find('o"hara, x')).toBe(2n ** 64n - 1n)

    write('bob,2\nalice,007\nno\n')
    const refused = await run(['directory', 'import', 'table'])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('line 2: "007" is no account number')
    expect(refused.stderr).toContain('line 3: expected two fields')
    expect(await store.directory.find('bob')).toBeUndefined()

    write('{ "bob": 2 }')
    await run(['directory', 'import', 'table', '--replace'])
    expect(await store.directory.list(10)).toEqual([{ payer: 'bob', account: accountNumber(2n) }])
    await store.close()
  })

  test.each([
    ['[{"payer":"a","account":"1"},{"payer":"a","account":2}]', 'entry 2: "a" has account 1'],
    ['{"a": 1.5}', 'expected {'],
    ['{"a": 9007199254740993}', 'expected {'],
    ['{"a"', 'the file is not JSON'],
    ['"a,1', 'line 1: expected two fields'],
    [',1', 'line 1: the payer is empty'],
  ])('%s: %s', (text, problem) => {
    expect(parseDirectoryFile(text).problems[0]).toContain(problem)
  })
})

describe('flowmeter correct', () => {
  test('shows and changes nothing, and says so', async () => {
    const { store, run } = await operator()
    await store.close()
    const { code, stdout } = await run(['correct', '--dry-run'])
    expect([code, stdout]).toEqual([0, expect.stringContaining('Nothing was changed.')])
    expect(await run(['correct'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--dry-run'),
    })
    expect(await run(['correct', '--reason', 'because'])).toMatchObject({
      code: 2,
      stderr: 'error: all sealed usage is where it belongs\n',
    })
    const waived = ['correct', 'waive', 'main', 'never-seen', '--reason', 'because', '--by', 'me']
    expect(await run(waived)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"never-seen" of source "main" is counted by no batch'),
    })
    expect((await run(['correct', 'list'])).stdout).toBe('No correction was ever recorded.\n')
    expect((await run(['log', '--verify'])).stdout).toContain('Nothing was done yet.')
  })
})

test('backfill and audit source, against LiteLLM', async () => {
  const litellm = await startLitellm({ nowMs: () => MONDAY_MS + 3 * DAY_MS })
  running.push(litellm)
  const { store, run } = await operator()
  const settings = { LITELLM_API_URL: litellm.url, LITELLM_API_KEY: litellm.masterKey }
  const call = { user: '7', promptTokens: 10, completionTokens: 5, modelGroup: 'fast' }
  litellm.insertRows(
    [0, 1, 2].map((day) => ({ ...call, startedAtMs: MONDAY_MS + (day - 2) * DAY_MS + 1 })),
  )
  const range = ['--from', '2026-11-14', '--until', '2026-11-20']
  const preview = JSON.parse(
    (await run(['backfill', ...range, '--preview', '--json'], settings)).stdout,
  )
  expect(preview.backfill).toMatchObject([
    {
      source: 'main',
      kind: 'preview',
      rows: 2,
      added: 2,
      tokens: '30',
      unmapped: [{ payer: '7' }],
    },
  ])
  expect((await store.records.counts()).records).toBe(0)
  const ran = await run(['backfill', ...range, '--run'], settings)
  expect(ran.stdout).toContain('main: 2 rows, 0 known, 2 saved (0 of them excluded)')
  const again = await run(['backfill', ...range, '--run'], settings)
  expect(again.stdout).toContain('main: 2 rows, 2 known, 0 saved')
  expect((await store.records.source('main'))?.readUntilMs).toBe(MONDAY_MS)

  const equal = await run(['audit', 'source', 'main', '--day', '2026-11-14'], settings)
  expect(equal).toMatchObject({
    code: 0,
    stdout:
      'main 2026-11-14: 1 keys and models compared, all equal\n' +
      "  reading began at 2026-11-16T00:00:00.000Z: earlier calls are only LiteLLM's\n",
  })
  litellm.insertRows([{ ...call, startedAtMs: MONDAY_MS - 2 * DAY_MS }])
  const other = await run(['audit', 'source', '--day', '2026-11-14'], settings)
  expect(other.code).toBe(2)
  expect(other.stdout).toContain(
    "fast: ours 1 requests, 10 + 5 tokens; LiteLLM's 2 requests, 20 + 10 tokens",
  )
  await store.close()
})

test('a source that does not answer, or is none, is told with what to do', async () => {
  const { store, run } = await operator()
  await store.close()
  const nowhere = { LITELLM_API_URL: 'http://127.0.0.1:1' }
  const range = ['--from', '2026-11-14', '--until', '2026-11-15']
  for (const args of [
    ['backfill', ...range, '--preview'],
    ['audit', 'source', 'main', '--day', '2026-11-14'],
  ]) {
    const { code, stderr } = await run(args, nowhere)
    expect([code, stderr]).toEqual([78, expect.stringContaining('Is LiteLLM running at')])
    expect(stderr).not.toContain('    at ')
  }
  for (const args of [
    ['backfill', ...range, '--preview', '--source', 'mian'],
    ['unmapped', 'release', 'alice', '--source', 'mian'],
    ['map', 'alice', '--explain', '--source', 'mian'],
    ['quarantine', 'list', '--source', 'mian'],
  ]) {
    const { code, stderr } = await run(args)
    expect([code, stderr]).toEqual([78, expect.stringContaining('There are: main.')])
  }
  for (const days of [
    ['--day', '2026-02-31'],
    ['--from', '2026-11-14', '--until', '2026-11-13'],
    ['--until', '2026-11-13'],
  ]) {
    expect((await run(['audit', 'source', ...days])).code).toBe(2)
  }
  const nobody = await run(['map', 'default_user_id'])
  expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining('unmapped release')])
})

test('backfill refuses what makes no sense', async () => {
  const { store, run } = await operator()
  await store.close()
  const range = ['--from', '2026-11-14', '--until', '2026-11-15']
  for (const args of [
    range,
    [...range, '--preview', '--run'],
    ['--from', '2026-11-15', '--until', '2026-11-15', '--run'],
    ['--from', 'yesterday', '--until', '2026-11-15', '--run'],
    ['--from', '2026-02-31', '--until', '2026-11-15', '--run'],
  ]) {
    expect((await run(['backfill', ...args])).code).toBe(2)
  }
})
