import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { creditsCommand } from '../../src/cli/credits.js'
import { creditsTools } from '../../src/cli/credits-tools.js'
import { takePayment } from '../../src/pipeline/take-payment.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { EVENING_MS } from '../support/usage.js'

// Goal: an operator can open, grant, look and decide, and every change is in the operators' log.

let file: StoreFile
let printed: string[]
const clock = new ManualClock(EVENING_MS)
beforeEach(async () => {
  file = new StoreFile(clock)
  await file.open()
  printed = []
})
afterEach(() => file.remove())

async function run(line: string, config: object = { credits: {} }): Promise<string> {
  const folder = dirname(file.path)
  writeFileSync(join(folder, 'flowmeter.config.json'), JSON.stringify(config))
  const command = creditsCommand({
    print: (text) => void printed.push(text),
    credits: async () => creditsTools({ DATABASE_URL: `sqlite:${file.path}` }, folder),
  })
  for (const one of [command, ...command.commands])
    one.exitOverride().configureOutput({ writeErr: () => {} })
  printed = []
  await command.parseAsync(line.split(' '), { from: 'user' })
  return printed.join('\n')
}

test('an account is opened once, with what new ones get', async () => {
  expect(await run('open 7 --reason new --by ann')).toContain('lives on credits now')
  expect(await run('open 7 --reason new --by ann')).toContain('before')
  expect(await run('balance 7')).toBe('500 credits')
  expect(await run('grant 7 20 --reason sorry --by ann')).toContain('was given 20')
  expect(await run('grant 7 20 --reason sorry --by ann')).toContain('nothing done')
  expect(JSON.parse(await run('balance 7 --json'))).toEqual({
    account: '7',
    millicredits: '520000',
  })
  const store = await file.open()
  const verbs = (await store.operatorLog.entries(1, 10)).map(({ verb, who }) => `${who}: ${verb}`)
  expect(verbs).toEqual(['ann: credits open', 'ann: credits grant'])
})

test('a grant that was wrong is taken back, once', async () => {
  await run('open 7 --reason new --by ann')
  await run('grant 7 1000000 --reason typo --by ann')
  expect(await run('take-back 7 typo --reason oops --by ann')).toContain('was taken back')
  expect(await run('take-back 7 typo --reason oops --by ann')).toContain('nothing done')
  expect(await run('balance 7')).toBe('500 credits')
  const back = run('take-back 7 other --reason oops')
  await expect(back).rejects.toThrow('was given nothing for that')
  const store = await file.open()
  expect(await store.ledger.difference()).toBe(0n)
  const verbs = (await store.operatorLog.entries(1, 10)).map(({ verb }) => verb)
  expect(verbs).toEqual(['credits open', 'credits grant', 'credits take-back'])
})

test('a statement is safe in a spreadsheet', async () => {
  await run('open 7 --reason new --by ann')
  const store = await file.open()
  const payment = { id: 'stripe/=cmd"', account: undefined, amountMinor: 100n, currency: 'USD' }
  const packages = [{ credits: 1_000n, amountMinor: 100n, currency: 'USD' }]
  await takePayment({ store, clock, packages }, { kind: 'paid', payment })
  expect(await run('payments')).toContain('named no account')
  const store2 = await file.open()
  const [waiting] = await store2.payments.setAside(10)
  expect(waiting?.id).toBe(payment.id)
  expect(await run(`apply ${payment.id} 7 --reason found --by ann`)).toContain('1000 credits')
  const [head, ...lines] = (await run('statement 7')).split('\n')
  expect(head).toBe('time,kind,credits,balance,memo,id')
  expect(lines).toHaveLength(2)
  expect(lines[1]).toMatch(/,top_up,1000,1500,"paid stripe\/=cmd""","top_up\/stripe\/=cmd"""$/)
  expect(await run('payments')).toBe('No payment waits.')
})

test('what cannot be done says what to do', async () => {
  await expect(run('open 7')).rejects.toThrow()
  await expect(run('open 007 --reason a')).rejects.toThrow()
  await expect(run('grant 7 0 --reason a')).rejects.toThrow()
  await expect(run('grant 8 5 --reason a')).rejects.toThrow('credits open')
  await expect(run('open 7 --reason a', {})).rejects.toThrow('has no `credits`')
  await expect(run('apply stripe/none 7 --reason a')).rejects.toThrow('no payment is stripe/none')
})
