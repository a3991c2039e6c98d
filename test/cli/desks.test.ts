import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { setFlowPrice } from '../../devnet/flow/deploy.js'
import { startWorld, u64, type World } from '../cadence/world.js'
import { type DeskRun, deskEnv, runDesk } from './desk-world.js'
import { tempFolder } from './run-cli.js'

// Goal: a provider and a customer get from nothing to a filled vault with the commands alone, and
// a command that is run again, or was broken off, does nothing twice.
// Method: the real commands and the real contracts, on the emulator; what happened is read back.

const METER = '3e'.repeat(20)
const WAD = 10n ** 18n

let world: World
let provider: FlowAccount
let customer: FlowAccount
const asProvider = (...args: string[]) => runDesk(args, deskEnv(world, 'PROVIDER', provider))
const asCustomer = (...args: string[]) =>
  runDesk(args, { ...deskEnv(world, 'CUSTOMER', customer), FLOW_PROVIDER_ID: '1' })

beforeAll(async () => {
  world = await startWorld()
  const client = world.client
  provider = await client.createAccount({ fundFlow: '10.0' })
  customer = await client.createAccount({ fundFlow: '50.0' })
  const feed = { price: WAD / 2n, minimum: WAD / 100n, maximum: 100n * WAD, maxAgeSeconds: 3_600 }
  await setFlowPrice(world, { currency: 'USD', ...feed })
})
afterAll(() => world?.stop())

function json(run: DeskRun): Record<string, unknown> {
  expect(run.told.join('\n')).not.toContain('error:')
  expect([run.code, run.out.length]).toEqual([0, 1])
  return JSON.parse(run.out[0] ?? '') as Record<string, unknown>
}

/** How often a key of the account has been used. */
async function sent(account: FlowAccount): Promise<bigint> {
  return (await world.client.accountKey(account.address, 0)).sequenceNumber
}

describe.sequential('a provider', () => {
  test('that is none yet is told what to do', async () => {
    const run = await asProvider('plans', 'publish', 'plans/default.json', '--register-models')
    expect([run.code, run.told.join()]).toEqual([2, expect.stringContaining('provider set-up')])
  })

  test('becomes one, once', async () => {
    const first = await asProvider('provider', 'set-up')
    expect([first.code, first.out]).toEqual([0, ['this account is provider 1']])
    expect(first.told[0]).toMatch(/^become a provider: transaction [0-9a-f]{64}, number 0 of key 0/)
    const again = await asProvider('provider', 'set-up')
    expect(again.out).toEqual(['this account is provider 1 (it was so already)'])
    expect(await sent(provider)).toBe(1n)
  })

  test('publishes the default plan, whose hash is the contract’s, and not twice', async () => {
    const refused = await asProvider('plans', 'publish', 'plans/default.json')
    expect([refused.code, refused.told.join()]).toEqual([
      2,
      expect.stringContaining('provider register-models gpt-4 gpt-3.5 claude-3-opus'),
    ])
    const publish = ['plans', 'publish', 'plans/default.json', '--register-models', '--json']
    const dry = json(await asProvider(...publish, '--dry-run'))
    expect(await sent(provider)).toBe(1n)

    const first = json(await asProvider(...publish))
    expect(first).toMatchObject({ plan: '1', hash: dry.hash, published: true })
    expect(
      json(await asProvider('plans', 'validate', 'plans/default.json', '--json')),
    ).toMatchObject({ plans: [{ hash: dry.hash }] })
    expect(json(await asProvider(...publish))).toEqual({
      ...{ plan: '1', hash: dry.hash, published: false },
    })
    expect(await sent(provider)).toBe(3n)
    const plan = await world.run('get_plan', [u64(1)])
    expect(plan).toMatchObject({ hash: BigInt(String(dry.hash)), provider: 1n, notice: 86_400n })
  })

  test('publishes the others, which keep the models’ ids', async () => {
    for (const plan of ['plans/byok.json', 'plans/cost-plus.json#starter/balanced']) {
      expect((await asProvider('plans', 'publish', plan, '--register-models')).code).toBe(0)
    }
    expect(await world.run('get_models', [u64(1)])).toEqual([
      ...['gpt-4', 'gpt-3.5', 'claude-3-opus', 'claude-3-haiku', 'byok'],
      ...['gpt-3.5-turbo', 'gpt-4o', 'gpt-4o-mini'],
    ])
  })

  test('what was published says what the file says', async () => {
    for (const [file, id] of [
      ['plans/default.json', '1'],
      ['plans/byok.json', '2'],
      ['plans/cost-plus.json#starter/balanced', '3'],
    ] as const) {
      expect(json(await asProvider('plans', 'diff', file, id, '--json'))).toEqual({
        ...{ same: true, changes: [] },
      })
    }
    const run = await asProvider('plans', 'diff', '1', '2')
    expect(run.out).toEqual(['model byok: (none) -> 0.05'])
  })

  test('publishes whatever a file may say, up to the bounds', async () => {
    const folder = tempFolder()
    const path = join(folder, 'plan.json')
    const ends = [...Array(14).keys()].map((i) => ({ upTo: `${i + 1}`, pricePerMillion: '0' }))
    const most = { pricePerMillion: '281474976.710655', discountBps: 10_000 }
    const plan = {
      ...{ format: 'flowmeter.plan.v1', currency: 'SIXTEEN-LETTERS!', period: 'week' },
      ...{ mode: 'volume', noticeSeconds: 604_800, otherModels: '429496.7295' },
      minimum: '5192296858534827.628530496329220095',
      fee: '5192296858534827.628530496329220095',
      tiers: [...ends, { upTo: '18446744073709551614', ...most }, most],
      models: [{ model: 'é'.repeat(128), rate: { prompt: '0.0001', completion: '0' } }],
    }
    writeFileSync(path, JSON.stringify(plan))
    expect(
      json(await asProvider('plans', 'publish', path, '--register-models', '--json')),
    ).toMatchObject({ plan: '4', published: true })
  })

  test('retires a plan once, and may publish the same again as another', async () => {
    const plan = 'plans/byok.json'
    const first = json(await asProvider('plans', 'retire', '2', '--json'))
    expect(first).toMatchObject({ plan: '2', sent: true })
    const again = await asProvider('plans', 'retire', '2')
    expect(again.out).toEqual(['plan 2 was retired before'])
    expect(json(await asProvider('plans', 'publish', plan, '--json'))).toMatchObject({
      ...{ plan: '5', published: true },
    })
    const open = await asCustomer('vaults', 'open', '--plan', '2', '--deposit', '1')
    expect([open.code, open.told.join()]).toEqual([2, expect.stringContaining('is retired')])
  })

  test('sets the meter once, and reserves a number', async () => {
    expect((await asProvider('provider', 'set-meter', `0x${METER}`)).code).toBe(0)
    const used = await sent(provider)
    const again = await asProvider('provider', 'set-meter', METER.toUpperCase())
    expect(again.out).toEqual([`the meter is 0x${METER} (it was so already)`])
    expect(await sent(provider)).toBe(used)
    expect(await world.run('get_stream', [u64(1)])).toMatchObject({ meter: METER })
    expect((await asProvider('provider', 'reserve', '77', customer.address)).code).toBe(0)
  })

  test('is told in the contract’s words why it refuses', async () => {
    const run = await asProvider('provider', 'collect', '1.5')
    expect(run.code).toBe(2)
    expect(run.told.join()).toMatch(/collect earnings: .*(bookOf|earnings)/)
  })
})

describe.sequential('a quote', () => {
  // 300k billable tokens: 100k at $20 and 200k at $13.50 a million.
  const usage = ['--model', 'gpt-4=150000,0,50000,9']

  test('of a file is that of the plan published of it, as the contract has it', async () => {
    const [file, published] = [
      await asProvider('plans', 'quote', 'plans/default.json', ...usage),
      await asProvider('plans', 'quote', '1', ...usage),
    ]
    expect(file.out).toEqual(['4.7 USD for 300000 billable tokens'])
    expect(published.out).toEqual([...file.out, '  The contract says the same.'])
  })

  test('adds models up, and tells what is priced as any other', async () => {
    const more = [...usage, '--model', 'mistral=100,50,0', 'mistral=100', '--model', 'gpt-3.5=1000']
    for (const plan of ['plans/default.json', '1']) {
      expect(json(await asProvider('plans', 'quote', plan, ...more, '--json'))).toMatchObject({
        ...{ price: '4.7135', priceWad: '4713500000000000000', billableTokens: '301000' },
        ...{ currency: 'USD', others: ['mistral'] },
      })
    }
  })

  test.each([
    [['plans', 'quote', '1', '--model', 'gpt-4'], 'is not model=prompt,cached'],
    [['plans', 'quote', '1', '--model', 'a=1,2'], 'cached tokens are part of the prompt'],
    [['plans', 'quote', '1', '--model', 'a=18446744073709551616'], 'more than an entry can say'],
    [
      ['plans', 'quote', 'plans/default.json', '--model', `a=${2n ** 64n - 1n}`, '--model', 'b=1'],
      'priced together is more than an entry can say',
    ],
    [['plans', 'quote', '99', '--model', 'a=1'], 'there is no plan 99'],
    [['plans', 'quote', 'plans/cost-plus.json', '--model', 'a=1'], 'plans/cost-plus.json#free/eco'],
    [['plans', 'publish', '1'], 'plan 1 is published already'],
    [['vaults', 'show', '5'], 'Set FLOW_PROVIDER_ID'],
    [['vaults', 'show', '5', '--provider', '1'], 'provider 1 has no vault 5'],
    [['provider', 'collect', '1,5'], 'is no amount of tokens'],
    [['provider', 'set-meter', '0x12'], 'is no address of 40 hex digits'],
    [['provider', 'reserve', '-1', '0x1'], 'is no number from 0 to 2^64 - 1'],
    [['provider', 'approve', '1', '--period', '2026-11-01', '--up-to', 'none'], 'up to what?'],
    [['provider', 'approve', '1', '--period', '1.11.2026', '--up-to', '1'], 'is no date, such as'],
    [['provider', 'max-charge', '-1'], 'is no amount, such as 20.5'],
    [['provider', 'credit', '1', '2'], "required option '--reason <text>'"],
    [['vaults', 'autopay', '1', 'maybe'], 'is neither on nor off'],
    [['vaults', 'cap', '1', '1e9'], 'is no amount, such as 20.5'],
  ])('wrong usage: %s', async (args, says) => {
    const run = await asProvider(...args)
    expect([run.code, run.out, run.told.join()]).toEqual([2, [], expect.stringContaining(says)])
  })
})

describe.sequential('a customer', () => {
  test('opens vaults, of the next number and of a reserved one', async () => {
    const first = json(
      await asCustomer('vaults', 'open', '--plan', '1', '--deposit', '5', '--json'),
    )
    expect(first).toMatchObject({ account: '1', txId: expect.stringMatching(/^[0-9a-f]{64}$/) })
    const second = await asCustomer(
      'vaults',
      'open',
      '--plan',
      '3',
      '--number',
      '77',
      '--deposit',
      '1',
    )
    expect(second.out).toEqual(['vault 77 is open'])
    expect((await asCustomer('vaults', 'list')).out).toEqual([
      `1  ${customer.address}  plan 1  open`,
      `77  ${customer.address}  plan 3  open`,
    ])
  })

  test('fills it, and sees it', async () => {
    const before = json(await asCustomer('vaults', 'show', '1', '--json'))
    const run = json(await asCustomer('vaults', 'deposit', '1', '2.25', '--json'))
    expect(Number(run.balance) - Number(before.balance)).toBe(2.25)
    expect(json(await asCustomer('vaults', 'show', '1', '--json'))).toMatchObject({
      ...{ provider: '1', account: '1', customer: customer.address, balance: run.balance },
      ...{ charged: '0', owed: '0', period: 'month', isOpen: true },
    })
  })

  test('a deposit that was broken off does not land twice', async () => {
    const number = await sent(customer)
    const before = json(await asCustomer('vaults', 'show', '1', '--json'))
    const shutdown = new AbortController()
    const env = { ...deskEnv(world, 'CUSTOMER', customer), FLOW_PROVIDER_ID: '1' }
    const deposit = ['vaults', 'deposit', '1', '3']
    // The id is told before the first byte leaves: break off then.
    const broken = await runDesk(deposit, env, shutdown, () => shutdown.abort())
    expect([broken.code, broken.told.join()]).toEqual([
      2,
      expect.stringContaining(`--sequence-number ${number}`),
    ])
    const again = [...deposit, '--sequence-number', `${number}`]
    const retried = await asCustomer(...again)
    const refused = await asCustomer(...again)
    expect([retried.code, refused.code]).toEqual([0, 2])
    expect(refused.told.join()).toContain(`the transaction with number ${number} was executed`)
    const after = json(await asCustomer('vaults', 'show', '1', '--json'))
    expect(Number(after.balance) - Number(before.balance)).toBe(3)
  })
})

test('two commands with one number put one deposit in', async () => {
  const before = json(await asCustomer('vaults', 'show', '77', '--json'))
  const deposit = ['vaults', 'deposit', '77', '1.5', '--sequence-number', `${await sent(customer)}`]
  const runs = await Promise.all([asCustomer(...deposit), asCustomer(...deposit)])
  expect(runs.map(({ code }) => code)).toContain(0)
  const after = json(await asCustomer('vaults', 'show', '77', '--json'))
  expect(Number(after.balance) - Number(before.balance)).toBe(1.5)
})

// Some thirty transactions, each waited for.
describe.sequential('what may be paid, and the end', () => {
  const vault = async (account: string) =>
    json(await asCustomer('vaults', 'show', account, '--json'))

  test('a customer sets every limit', async () => {
    for (const args of [
      ['autopay', '1', 'off'],
      ['cap', '1', '20.5'],
      ['entitle', '1', '100', '--until', '2099-01-01'],
      ['pause', '1'],
      ['choose-plan', '1', '1'],
      ['refund-to', '1', customer.address],
      ['request-withdrawal', '1', '2'],
    ]) {
      const run = await asCustomer('vaults', ...args)
      expect([run.code, run.told.filter((line) => line.startsWith('error'))]).toEqual([0, []])
    }
    expect(await vault('1')).toMatchObject({
      ...{ cap: '20.5', spent: '0', entitled: '100', validUntil: '2099-01-01T00:00:00.000Z' },
      ...{ isAutopayOn: false, isPaused: true, withdrawal: { amount: '2.0' } },
    })
    expect((await asCustomer('vaults', 'show', '1')).out.join()).toMatch(
      /open, paused.*cap: 20.5, of it spent 0.*storage deposit: 0.01 FLOW.*asked back: 2.0 FLOW/s,
    )
    for (const args of [['cap', 'none'], ['resume'], ['entitle', 'none'], ['autopay', 'on']]) {
      const [name = '', ...rest] = args
      const run = json(await asCustomer('vaults', name, '1', ...rest, '--json'))
      expect(run).toMatchObject({ account: '1', txId: expect.stringMatching(/^[0-9a-f]{64}$/) })
    }
    expect(await vault('1')).toMatchObject({ cap: null, entitled: null, isPaused: false })
    const early = await asCustomer('vaults', 'withdraw', '1')
    expect([early.code, early.told.join()]).toEqual([2, expect.stringContaining('can be taken')])
  })

  test('a provider corrects, approves and gives', async () => {
    const { plans } = (await vault('77')) as { plans: { fromPeriodStart: number }[] }
    const start = new Date((plans[0]?.fromPeriodStart ?? 0) * 1_000).toISOString().slice(0, 10)
    const period = ['--period', start]
    const correct = ['provider', 'correct', '77', ...period, '--tokens', '0', '--after-seq', '1']
    const reason = ['--reason', 'counted twice']
    expect((await asProvider(...correct, ...reason)).out).toEqual([
      'account 77 used 0 billable tokens in that period',
    ])
    expect(json(await asProvider(...correct, ...reason, '--json'))).toMatchObject({ sent: false })
    const ahead = await asProvider(...correct.with(-1, '1000'), ...reason)
    expect([ahead.code, ahead.told.join()]).toEqual([
      2,
      expect.stringContaining('the newest batch that Flow has accepted is 0'),
    ])
    const upwards = correct.with(correct.indexOf('0'), '1.5')
    expect((await asProvider(...upwards, ...reason)).told.join()).toMatch('is not lowered to 15000')
    const approve = ['provider', 'approve', '77', ...period, '--up-to', '12.5', '--json']
    expect(json(await asProvider(...approve))).toMatchObject({ sent: true })
    expect((await asProvider('provider', 'max-charge', '100')).out).toEqual([
      'a charge above 100 is held',
    ])
    expect(await world.run('get_provider', [u64(1)])).toMatchObject({
      maxChargePerEntry: 100n * WAD,
    })
    const before = await vault('77')
    await asProvider('provider', 'credit', '77', '0.5', '--reason', 'for the outage')
    expect(Number((await vault('77')).balance) - Number(before.balance)).toBe(0.5)
  })

  test('a customer leaves, and a provider closes', async () => {
    expect((await asCustomer('vaults', 'leave', '1')).code).toBe(0)
    expect((await asProvider('provider', 'close', '77')).out).toEqual(['account 77 has its notice'])
    const list = (await asCustomer('vaults', 'list')).out.join()
    expect(list).toMatch(/^1 .* leaving, can be ended from .*77 .* closing, can be ended from /)
    const early = await asCustomer('vaults', 'end', '1')
    expect([early.code, early.told.join()]).toEqual([2, expect.stringContaining('can be ended')])
    await world.client.moveClock(86_460_000)
    expect((await asCustomer('vaults', 'withdraw', '1')).code).toBe(0)
    for (const account of ['1', '77']) {
      expect((await asCustomer('vaults', 'end', account)).code).toBe(0)
    }
    expect((await asCustomer('vaults', 'refund', '1')).code).toBe(0)
    expect((await asCustomer('vaults', 'take-refund', '77')).code).toBe(0)
    for (const account of ['1', '77']) {
      expect(await vault(account)).toMatchObject({ state: 'closed', isOpen: false, balance: '0.0' })
    }
  })
})

describe('keys', () => {
  test('the daemon’s key serves no provider and no customer', async () => {
    const { FLOW_PROVIDER_ADDRESS, FLOW_PROVIDER_PRIVATE_KEY, ...env } = deskEnv(
      world,
      'PROVIDER',
      provider,
    )
    const daemons = {
      ...env,
      FLOW_ACCOUNT_ADDRESS: FLOW_PROVIDER_ADDRESS ?? '',
      FLOW_PRIVATE_KEY: FLOW_PROVIDER_PRIVATE_KEY ?? '',
    }
    const run = await runDesk(['provider', 'set-up'], daemons)
    expect(run.code).toBe(78)
    expect(run.told.join()).toContain('FLOW_PROVIDER_PRIVATE_KEY: is missing')
  })

  test('may come from a file; one that does not fit is never told', async () => {
    const { FLOW_PROVIDER_PRIVATE_KEY: _, ...env } = deskEnv(world, 'PROVIDER', provider)
    const file = join(tempFolder(), 'key')
    const canary = 'c4'.repeat(32)
    writeFileSync(file, `${canary}\n`)
    const run = await runDesk(['provider', 'set-meter', METER.replaceAll('3', '4')], {
      ...{ ...env, FLOW_PROVIDER_PRIVATE_KEY_FILE: file },
    })
    expect(run.code).toBe(78)
    expect(run.told.join()).toContain('FLOW_PROVIDER_PRIVATE_KEY is not the private key of key 0')
    expect(run.told.join()).not.toContain(canary)
  })
})
