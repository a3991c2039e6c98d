import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { budgetsCommand } from '../../src/cli/budgets.js'
import { budgetsTools } from '../../src/cli/budgets-tools.js'
import { quotasCommand } from '../../src/cli/quotas.js'
import type { Store } from '../../src/ports/stores.js'
import { BudgetWorld } from '../support/budget-world.js'
import { ALICE, newKey } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'

// Goal: an operator says what accounts may spend and use, sees how they stand, and every change is in
// the operators' log with what it was before. The commands have the clock of the machine, so this
// store's goes with it.

const NOW_MS = Math.floor(Date.now() / 60_000) * 60_000
const CONFIG = {
  budgets: {
    tiers: { free: { quota: { requestsAnHour: 10 }, rpmLimit: 3 } },
    byokModels: ['byok/*'],
  },
}

let file: StoreFile
let store: Store
let world: BudgetWorld
let printed: string[]
beforeEach(async () => {
  const clock = new ManualClock(NOW_MS)
  file = new StoreFile(clock)
  store = await file.open()
  world = new BudgetWorld(store, clock)
  await store.keys.add(newKey('laptop'))
  await world.openVault(ALICE, 10n * 10n ** 8n)
})
afterEach(() => file.remove())

async function run(line: string, config: object = CONFIG): Promise<string> {
  const folder = dirname(file.path)
  writeFileSync(join(folder, 'flowmeter.config.json'), JSON.stringify(config))
  const parts = {
    print: (text: string) => void printed.push(text),
    budgets: async () => budgetsTools({ DATABASE_URL: `sqlite:${file.path}` }, folder),
  }
  const [name, ...words] = line.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', '')) ?? []
  const command: Command = name === 'budgets' ? budgetsCommand(parts) : quotasCommand(parts)
  for (const one of [command, ...command.commands])
    one.exitOverride().configureOutput({ writeErr: () => {} })
  printed = []
  await command.parseAsync(words, { from: 'user' })
  return printed.join('\n')
}

async function logged(): Promise<Readonly<Record<string, string>>[]> {
  return (await store.operatorLog.entries(1, 10)).map((entry) => ({
    ...{ who: entry.who, verb: entry.verb, reason: entry.reason },
    ...entry.arguments,
  }))
}

test('a budget is given, changed and taken away, and its keys follow', async () => {
  const set = 'budgets set 7 --hard 1000 --soft 800 --reason "new customer" --by ann'
  expect(await run(set)).toBe('7: 1000 USD in 30 days, soft 800; not looked at yet')
  expect(await store.keys.get(newKey('laptop').id)).toMatchObject({
    limits: { maxBudget: 1_000_000_000n, budgetDuration: '30d' },
  })
  await world.use(ALICE, { tokens: 200_000, startedAtMs: NOW_MS })
  await world.look()
  await run('budgets set 7 --hard 2 --reason "pays late" --by ann')
  expect(await run('budgets list')).toMatch(
    /^7: 2 USD in 30 days; 2 spent \(2 today\), 0 to go .*hard limit reached/,
  )
  await run('budgets set operator --hard 5000.50 --days 7 --reason all --by ann')
  expect(await run('budgets list --json')).toMatch(/"subject":"operator","hard":"5000.5"/)
  await run('budgets unset 7 --reason "pays again" --by ann')
  expect(await logged()).toEqual([
    {
      ...{ who: 'ann', verb: 'budgets set', reason: 'new customer', subject: '7' },
      ...{ before: 'none', after: '1000 USD in 30 days, soft 800' },
    },
    {
      ...{ who: 'ann', verb: 'budgets set', reason: 'pays late', subject: '7' },
      ...{ before: '1000 USD in 30 days, soft 800', after: '2 USD in 30 days' },
    },
    {
      ...{ who: 'ann', verb: 'budgets set', reason: 'all', subject: 'operator' },
      ...{ before: 'none', after: '5000.5 USD in 7 days' },
    },
    {
      ...{ who: 'ann', verb: 'budgets unset', reason: 'pays again', subject: '7' },
      ...{ before: '2 USD in 30 days', after: 'none' },
    },
  ])
})

test('calls with one’s own provider’s key have a budget of their own, which lowers no key at LiteLLM', async () => {
  const set = 'budgets set 7-byok --hard 3 --soft 2 --reason "platform share" --by ann'
  expect(await run(set)).toBe('7-byok: 3 USD in 30 days, soft 2; not looked at yet')
  expect((await store.keys.get(newKey('laptop').id))?.limits).toEqual(newKey('laptop').limits)
  await world.use(ALICE, { tokens: 200_000, startedAtMs: NOW_MS, model: 'byok/gpt-4' })
  await world.look()
  const spent = /3 USD in 30 days, soft 2; 2 spent, 1 to go until .* \(soft limit reached\)/
  expect(await run('budgets show 7-byok')).toMatch(spent)
  expect(await run('budgets show 7')).toMatch(new RegExp(`own provider’s keys ${spent.source}`))
  await run('budgets set 7 --hard 1000 --reason more --by ann')
  const listed = (await run('budgets list')).split('\n').map((line) => line.split(':')[0])
  expect(listed).toEqual(['7', '7-byok'])
})

test('an account shows how it stands, and why its keys are blocked', async () => {
  await expect(run('budgets show 7')).rejects.toThrow('was not looked at')
  await world.use(ALICE, { tokens: 998_000, startedAtMs: NOW_MS })
  await world.look()
  const shown = await run('budgets show 7')
  expect(shown).toMatch(/^account 7: dry, 0 h 0 min left\n {2}available 0.02 USD, of it kept back/)
  expect(shown).toContain('blocked, balance: 0.02 USD are left and')
  expect(JSON.parse(await run('budgets show 7 --json'))).toMatchObject({
    ...{ account: '7', level: 'dry', available: '0.02', paidFrom: 'vault', credits: null },
    holds: [{ reason: 'balance', until: null }],
  })
})

test.each([
  ['budgets set 7 --hard 10', 'say why'],
  ['budgets set 7 --hard 10 --soft 11 --reason x', 'not above the hard one'],
  ['budgets set 7 --hard 0 --reason x', 'above 0'],
  ['budgets set 7 --hard 10 --days 367 --reason x', '1 to 366 days'],
  ['budgets set 9 --hard 10 --reason x', 'no vault 9'],
  ['budgets set 7 --hard -1 --reason x', 'an amount'],
  ['budgets set 9-byok --hard 10 --reason x', 'no vault 9'],
  ['budgets set byok --hard 10 --reason x', 'an account number'],
  ['budgets unset 7-byok --reason x', 'account 7-byok has no budget'],
  ['budgets unset 7 --reason x', 'account 7 has no budget'],
  ['quotas set 7 gold --reason x', 'there are free'],
  ['quotas set 9 free --reason x', 'no vault 9'],
  ['quotas unset 7 --reason x', 'was given no tier'],
])('%s is refused: %s', async (line, why) => {
  await expect(run(line)).rejects.toThrow(why)
  expect(await logged()).toEqual([])
})

test('a budget for own provider’s keys is refused where the settings name no such models', async () => {
  const set = run('budgets set 7-byok --hard 10 --reason x', { budgets: {} })
  await expect(set).rejects.toThrow('no byokModels')
})

test('a tier is given, and its keys follow', async () => {
  expect(await run('quotas list')).toBe('free: 10 requests an hour, 3 requests a minute')
  await run('quotas set 7 free --reason "a trial" --by ann')
  expect((await store.keys.get(newKey('laptop').id))?.limits.rpmLimit).toBe(3)
  expect(await run('quotas list')).toContain('account 7: free')
  expect(JSON.parse(await run('quotas list --json'))).toMatchObject({
    tiers: [{ name: 'free', isDefault: false, requestsAnHour: '10', tokensADay: null }],
    accounts: [{ account: '7', tier: 'free' }],
  })
  await run('quotas unset 7 --reason over --by ann')
  expect((await logged()).map(({ verb, before, after }) => [verb, before, after])).toEqual([
    ['quotas set', 'none', 'free'],
    ['quotas unset', 'free', 'none'],
  ])
})

test('without the settings it says what to do', async () => {
  await expect(run('budgets list', {})).rejects.toThrow('has no `budgets`')
})
