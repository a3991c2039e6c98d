import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { describe, expect, test } from 'vitest'
import { mainFile, root, runCli, runNode, tempFolder } from './run-cli.js'

function folderWithChain(chain: readonly object[]): string {
  const folder = tempFolder()
  writeFileSync(join(folder, 'flowmeter.config.json'), JSON.stringify({ mapping: { chain } }))
  return folder
}

describe('flowmeter map', () => {
  test.each([
    ['42', '42', 'direct'],
    ['vault_7', '7', 'prefix'],
    ['18446744073709551615', '18446744073709551615', 'direct'],
  ])('%s is charged to %s by %s', async (user, account, strategy) => {
    const { code, stdout, stderr } = await runCli(['map', user], { cwd: tempFolder() })
    expect(stdout.split('\n')[0]).toBe(`"${user}" is charged to account ${account}, by ${strategy}`)
    expect([code, stderr]).toEqual([0, ''])
  })

  test('--json: one object with every step of the way', async () => {
    const { code, stdout } = await runCli(['map', 'vault_7', '--json'], { cwd: tempFolder() })
    expect(JSON.parse(stdout)).toEqual({
      payer: 'vault_7',
      account: '7',
      strategy: 'prefix',
      steps: [
        { strategy: 'directory', answer: 'is not in the directory' },
        { strategy: 'prefix', answer: 'account 7' },
      ],
    })
    expect([code, stdout.trimEnd().split('\n').length]).toEqual([0, 1])
  })

  test.each([
    ['alice', 'direct: is not a number', 'directory set'],
    ['18446744073709551616', 'direct: is not a number from 0 to 1844674407', 'directory set'],
    ['vault_007', 'prefix: has no plain number', 'directory set'],
    ['vault_-7', 'prefix: has no plain number', 'directory set'],
    // No table maps these: what waits under them is released.
    ['', 'the record names no payer', 'unmapped release'],
    ['default_user_id', 'this is LiteLLM itself', 'unmapped release'],
  ])('"%s" has no account: why not, what to do, exit code 2', async (user, why, fix) => {
    const { code, stdout, stderr } = await runCli(['map', '--', user], { cwd: tempFolder() })
    expect(stdout).toContain(`"${user}" has no account`)
    expect(stdout).toContain(why)
    expect(stderr).toContain(`flowmeter ${fix}`)
    expect(code).toBe(2)
  })

  test('"%s" with --json: the same in one object, and the same exit code', async () => {
    const { code, stdout } = await runCli(['map', 'alice', '--json'], { cwd: tempFolder() })
    const mapped = JSON.parse(stdout)
    expect([code, mapped.payer, mapped.account]).toEqual([2, 'alice', undefined])
    expect(mapped.steps.map(({ strategy }: { strategy: string }) => strategy)).toEqual([
      ...['directory', 'prefix', 'direct'],
    ])
  })

  test('the chain of the settings counts, in its order', async () => {
    const cwd = folderWithChain([{ kind: 'prefix', prefix: 'team-' }, { kind: 'hash' }])
    const byPrefix = await runCli(['map', 'team-9'], { cwd })
    expect(byPrefix.stdout).toContain('account 9, by prefix')
    const byHash = await runCli(['map', 'alice@example.org', '--json'], { cwd })
    const account = firstEightBytes('flowmeter.account.v1\0alice@example.org')
    expect(JSON.parse(byHash.stdout)).toMatchObject({ account, strategy: 'hash' })
  })

  test('wrong settings: exit code 78 and the problem', async () => {
    const { code, stdout, stderr } = await runCli(['map', '42'], {
      cwd: folderWithChain([{ kind: 'guess' }]),
    })
    expect([code, stdout]).toEqual([78, ''])
    expect(stderr).toMatch(/^error: The settings have 1 problem:\n {2}- flowmeter\.config\.json/)
  })

  test('asks the directory, which is in the store', async () => {
    const cwd = tempFolder()
    const set = await runCli(['directory', 'set', 'alice', '12'], { cwd })
    expect([set.code, set.stdout]).toEqual([0, '"alice" is charged to account 12\n'])
    const mapped = await runCli(['map', 'alice'], { cwd })
    expect(mapped.stdout).toContain('account 12, by directory')
    const listed = await runCli(['directory', 'list', '--json'], { cwd })
    expect(JSON.parse(listed.stdout)).toEqual({ directory: [{ payer: 'alice', account: '12' }] })
    await runCli(['directory', 'remove', 'alice'], { cwd })
    expect((await runCli(['map', 'alice'], { cwd })).code).toBe(2)
  })

  test('an account that is none is refused with exit code 2', async () => {
    const run = await runCli(['directory', 'set', 'alice', '007'], { cwd: tempFolder() })
    expect(run.code).toBe(2)
    expect(run.stderr).toContain('"007" is no account number')
  })
})

/** What would make `map` slow: each takes longer to load than the answer takes to find. */
const HEAVY = ['ethers', '@onflow/', 'fastify', 'axios', 'prom-client', 'pino', 'node-cron']
const STORE = ['better-sqlite3', 'kysely']

// Goal: `map` answers at once, since people type it again and again while they try a mapping.
// Method: list the modules that the process really loads. The second test sees to it that the list
// would name a chain library if one were loaded.
describe('what flowmeter map loads', () => {
  test('commander and zod, but no chain, no server and no store', async () => {
    const packages = await packagesLoadedBy([mainFile, 'map', '42'])
    expect(packages).toEqual(expect.arrayContaining(['commander', 'zod']))
    expect(packages.filter((name) => isOneOf(name, [...HEAVY, ...STORE]))).toEqual([])
  })

  test('the store where there is one to ask, and still no chain', async () => {
    const cwd = tempFolder()
    await runCli(['directory', 'set', 'alice', '12'], { cwd })
    const packages = await packagesLoadedBy([mainFile, 'map', 'alice'], cwd)
    expect(packages).toEqual(expect.arrayContaining(STORE))
    expect(packages.filter((name) => isOneOf(name, HEAVY))).toEqual([])
  })

  test('the list itself sees both chains when they are loaded', async () => {
    const adapters = ['attestors/flare/attestor.js', 'settlers/flow/settler.js'].map(
      (path) => `import ${JSON.stringify(pathToFileURL(join(root, 'dist/src', path)).href)}`,
    )
    const packages = await packagesLoadedBy(['--input-type=module', '-e', adapters.join('\n')])
    expect(packages).toEqual(expect.arrayContaining(['ethers', '@onflow/fcl', 'axios']))
  })
})

async function packagesLoadedBy(args: readonly string[], cwd = tempFolder()): Promise<string[]> {
  const list = join(tempFolder(), 'loaded')
  const preload = pathToFileURL(join(import.meta.dirname, 'list-loaded.mjs')).href
  const run = await runNode(['--import', preload, ...args], { cwd, env: { LIST_LOADED: list } })
  expect(run).toMatchObject({ code: 0, stderr: '' })
  const urls = readFileSync(list, 'utf8').split('\n')
  const names = urls.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [])
  return [...new Set(names)]
}

function isOneOf(name: string, names: readonly string[]): boolean {
  return names.some((one) => (one.endsWith('/') ? name.startsWith(one) : name === one))
}

/** Of the text's keccak-256, as a number in text. */
function firstEightBytes(text: string): string {
  const digest = keccak_256(new TextEncoder().encode(text))
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0).toString()
}
