import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'
import { type Ran, runCli, tempFolder } from './run-cli.js'
import { COMPLETE_ENV } from './settings.js'

// Goal: an operator manages keys from the command line, and a key is seen once and nowhere else.
// Method: the built program against the stand-in of LiteLLM.

const WHY = ['--reason', 'asked for it', '--by', 'ann']

let litellm: Litellm
let cwd: string
beforeEach(async () => {
  litellm = await startLitellm()
  cwd = tempFolder()
  writeFileSync(join(cwd, 'flowmeter.config.json'), JSON.stringify({ budgets: {} }))
})
afterEach(() => litellm.stop())

function run(...args: string[]): Promise<Ran> {
  const env = {
    ...COMPLETE_ENV,
    LITELLM_API_URL: litellm.url,
    BUDGETS_ADMIN_KEY: litellm.masterKey,
    DATABASE_URL: 'sqlite:store.sqlite',
  }
  return runCli(['keys', ...args], { cwd, env })
}

async function call(secret: string): Promise<number> {
  const answer = await fetch(`${litellm.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [] }),
  })
  await answer.body?.cancel()
  return answer.status
}

async function byHand(path: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${litellm.masterKey}` }
  const json = { ...headers, 'content-type': 'application/json' }
  const answer = await fetch(litellm.url + path, {
    method: 'POST',
    headers: json,
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
}

test('a key from its making to its end, in the words of people', async () => {
  const limits = ['--max-budget', '2.50', '--rpm', '7', '--tpm', 'none', '--model', 'gpt-4o']
  const made = await run('create', '7', 'laptop', '--user', 'vault_7', ...limits, ...WHY)
  expect(made.stderr).toBe('')
  const [secret = '', line = ''] = made.stdout.split('\n')
  expect(secret).toMatch(/^sk-[\w-]{43}$/)
  const says = 'fm-7-laptop of account 7 (vault_7): $2.5 per 30d, 7 rpm, any tpm, gpt-4o; synced'
  expect(line).toBe(`${says}. It is not shown again.`)
  expect(await call(secret)).toBe(200)

  expect((await run('list')).stdout).toBe(`${says}\n`)
  const blocked = await run('block', 'fm-7-laptop', ...WHY)
  expect(blocked.stdout).toBe(`${says}, blocked\n  held by operator: asked for it\n`)
  expect(await call(secret)).toBe(401)
  expect((await run('unblock', 'fm-7-laptop', ...WHY)).stdout).toBe(`${says}\n`)
  const updated = await run('update', 'fm-7-laptop', '--any-model', '--max-budget', 'none', ...WHY)
  expect([updated.code, updated.stderr]).toEqual([0, ''])
  expect(updated.stdout).toContain('no budget per 30d, 7 rpm, any tpm, any model; synced')
  const rotated = await run('rotate', 'fm-7-laptop', '--json', ...WHY)
  const { key, alias, replaces } = JSON.parse(rotated.stdout)
  expect([await call(secret), await call(key), alias]).toEqual([401, 200, 'fm-7-laptop.2'])
  expect(replaces).toMatch(/^[0-9a-f]{64}$/)
  expect((await run('delete', alias, ...WHY)).stdout).toContain('synced, deleted')
  expect(await call(key)).toBe(401)
  expect((await run('list')).stdout).toContain('There is none')
  const all = (await run('list', '--deleted', '--json')).stdout.trim().split('\n')
  expect(all.map((text) => JSON.parse(text).state)).toEqual(['deleted', 'deleted'])

  const log = await runCli(['log', '--verify'], {
    cwd,
    env: { DATABASE_URL: 'sqlite:store.sqlite' },
  })
  for (const verb of ['create', 'block', 'unblock', 'update', 'rotate', 'delete']) {
    expect(log.stdout).toContain(`ann: keys ${verb}, `)
  }
  for (const file of readdirSync(cwd)) {
    const content = readFileSync(join(cwd, file), 'latin1')
    for (const one of [secret, key]) expect(content.includes(one), file).toBe(false)
  }
})

test('an account as a whole, keys that were made by hand, and what LiteLLM does not follow', async () => {
  await byHand('/key/generate', { key_alias: 'by-hand', user_id: 'vault_7', max_budget: 5 })
  await run('create', '7', 'laptop', '--user', 'vault_7', ...WHY)
  const found = await run('unmanaged')
  expect(found.stdout).toMatch(/^by-hand \([0-9a-f]{64}\) of vault_7: \$5; flowmeter keys adopt /)
  const adopted = await run('adopt', 'by-hand', '--account', '7', ...WHY)
  expect(adopted.stdout).toBe(
    'by-hand of account 7 (vault_7): $5, any rpm, any tpm, any model; synced\n',
  )
  expect((await run('unmanaged')).stdout).toBe('There is none.\n')

  const held = await run('block', '--account', '7', ...WHY)
  expect(held.stdout).toBe('account 7 is blocked\n')
  const synced = await run('sync')
  expect([synced.code, synced.stdout]).toEqual([
    0,
    '2 as wanted, 0 wait, 0 failed; 2 blocked, 0 of them in LiteLLM by somebody else\n',
  ])
  await byHand('/key/delete', { key_aliases: ['by-hand'] })
  const failed = await run('sync', '--json')
  expect(failed.code).toBe(1)
  expect(JSON.parse(failed.stdout)).toMatchObject({ failed: 1, failing: [{ alias: 'by-hand' }] })
  expect((await run('show', 'by-hand')).stdout).toContain('somebody deleted it at the gateway')
})

describe('what cannot be done', () => {
  test.each([
    [['create', '7', 'laptop', '--user', 'vault_8', ...WHY], 'is charged to account 8'],
    [['create', '7', 'Laptop', '--user', 'vault_7', ...WHY], 'a name has up to 40 of a-z'],
    [['create', '7', 'laptop', '--user', 'vault_7'], 'say why, with --reason'],
    [
      ['create', '7', 'laptop', '--user', 'vault_7', '--rpm', '-1', ...WHY],
      'a whole number, or none',
    ],
    [['create', '7', 'laptop', '--user', 'vault_7', '--max-budget', '1e3', ...WHY], 'dollars with'],
    [['create', '7', 'l', '--user', 'vault_7', '--budget-duration', 'soon', ...WHY], 'such as 30d'],
    [['show', 'nothing'], 'there is no key nothing'],
    [['show', 'sk-canary'], 'not by the key itself'],
    [['adopt', 'sk-canary', '--account', '7', ...WHY], 'not by the key itself'],
    [['update', 'nothing', ...WHY], 'say a limit'],
    [['block', ...WHY], 'name a key, or say --account'],
    [['block', 'a', '--account', '7', ...WHY], 'name a key, or say --account'],
  ])('%j: exit code 2', async (args, says) => {
    const { code, stdout, stderr } = await run(...args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(says)
    expect(stderr).not.toContain('canary')
  })

  test('without budgets in the settings: exit code 78, and what to add', async () => {
    writeFileSync(join(cwd, 'flowmeter.config.json'), '{}')
    const { code, stderr } = await run('list')
    expect(code).toBe(78)
    expect(stderr).toContain('flowmeter.config.json has no `budgets`')
  })

  test('doctor says who may manage keys, and what to do', async () => {
    const doctor = async (adminKey: string) => {
      const env = { ...COMPLETE_ENV, LITELLM_API_URL: litellm.url, BUDGETS_ADMIN_KEY: adminKey }
      const { stdout } = await runCli(['doctor', '--json'], { cwd, env })
      return JSON.parse(stdout).findings.find(({ check }: { check: string }) => check === 'keys')
    }
    expect(await doctor(litellm.masterKey)).toMatchObject({ verdict: 'ok' })
    expect(await doctor(litellm.viewerKey)).toMatchObject({
      verdict: 'broken',
      fix: 'Make the key in BUDGETS_ADMIN_KEY one of a user with the role proxy_admin.',
    })
  })
})
