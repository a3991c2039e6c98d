import { expect, test } from 'vitest'
import { runCli, tempFolder } from './run-cli.js'

// Goal: a token is shown once, and nobody who reads what else is written can use it.
test('create shows it once; list, log and revoke never do', async () => {
  const cwd = tempFolder()
  const why = ['--reason', 'asked for it', '--by', 'ann']
  const run = async (...args: string[]) => runCli(['tokens', ...args], { cwd })

  const made = await run('create', 'acme', '--account', '7', '--account', '42', '--json', ...why)
  expect(made.stderr).toBe('')
  const { token, id, ...rest } = JSON.parse(made.stdout)
  expect(token).toMatch(/^fm_[0-9a-f]{12}_[\w-]{43}$/)
  expect(token.startsWith(`${id}_`)).toBe(true)
  expect(rest).toEqual({ label: 'acme', role: 'read', accounts: '7,42' })

  // All of the token instead of its name: what is kept of it is the name.
  const revoked = await run('revoke', token, ...why)
  expect([revoked.code, revoked.stdout]).toEqual([0, `${id} is revoked\n`])
  const listed = await run('list')
  expect(listed.stdout).toMatch(/^fm_\S+ "acme": read of 7,42, revoked \S+, never used\n$/)
  const json = await run('list', '--json')
  expect(JSON.parse(json.stdout).tokens[0]).toMatchObject({ id, accounts: ['7', '42'] })
  const log = await runCli(['log', '--verify'], { cwd })
  expect(log.stdout).toContain(`ann: tokens create, token ${id}, before none`)
  expect(log.stdout).toContain('after read of 7,42, "acme", until ')
  for (const { stdout } of [listed, json, log, revoked]) {
    expect(stdout).not.toContain(token.slice(id.length + 1))
  }
  const hash = (await run('list', '--json')).stdout
  expect(hash).not.toMatch(/[0-9a-f]{64}/)
})

test.each([
  [['create', 'a', '--reason', 'r'], 'say --account <number>, or --all-accounts'],
  [['create', 'a', '--account', '7', '--all-accounts', '--reason', 'r'], 'say --account'],
  [['create', 'a', '--account', '007', '--reason', 'r'], 'an account number'],
  [['create', 'a', '--account', '18446744073709551616', '--reason', 'r'], 'an account number'],
  [['create', 'a', '--account', '7', '--role', 'admin', '--reason', 'r'], 'Allowed choices'],
  [['create', 'a', '--account', '7', '--expires', '5y', '--reason', 'r'], 'such as 90d or 12h'],
  [['create', 'a', '--account', '7'], 'say why, with --reason'],
  [
    ['create', 'a', '--account', '7', '--role', 'configure', '--reason', 'r'],
    'a token for some can read or execute',
  ],
  [['revoke', 'fm_000000000000', '--reason', 'r'], 'there is no token fm_000000000000'],
  [['revoke', 'sk-canary-other-key', '--reason', 'r'], 'a token is named as fm_ and 12 digits'],
])('%j: exit code 2', async (args, says) => {
  const run = await runCli(['tokens', ...args], { cwd: tempFolder() })
  expect([run.code, run.stdout]).toEqual([2, ''])
  expect(run.stderr).toContain(says)
  expect(run.stderr).not.toContain('canary')
})
