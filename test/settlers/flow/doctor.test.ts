import { afterAll, beforeAll, expect, test } from 'vitest'
import { string } from '../../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../../devnet/flow/client.js'
import type { Finding } from '../../../src/ports/finding.js'
import { CadenceFiles } from '../../../src/settlers/flow/cadence.js'
import { settlerDoctor } from '../../../src/settlers/index.js'
import { beginFlowWorld, type FlowWorld } from './settler-world.js'
import { configOf } from './world.js'

let world: FlowWorld
let payer: FlowAccount
const { signal } = new AbortController()

beforeAll(async () => {
  world = await beginFlowWorld()
  payer = await world.chain.emulator.client.createAccount({ fundFlow: '3.0' })
})

afterAll(async () => {
  await world?.end()
})

async function findings(more: Record<string, unknown> = {}) {
  const contractsAddress = world.deployed.account.address
  const all = { contractsAddress, providerId: world.provider.id.toString(), ...more }
  return settlerDoctor(configOf(world.chain.emulator, payer, all), signal)
}

async function unwell(more: Record<string, unknown>): Promise<readonly string[]> {
  const checks = await findings(more)
  for (const { verdict, fix } of checks) expect(verdict === 'ok').toBe(fix === undefined)
  return checks.filter(({ verdict }) => verdict !== 'ok').map(({ check }) => check)
}

test('all is well where all is well', async () => {
  const checks = await findings()
  expect(checks.filter(({ verdict }) => verdict !== 'ok')).toEqual([])
  const names = ['access node', 'account', 'key 0', 'contracts', 'target', 'provider', 'meter']
  expect(checks.map(({ check }) => check)).toEqual([
    ...names.map((name) => `flow ${name}`),
    'flow light client',
    'flow contract storage',
    'flow contract keys',
    'flow governors',
  ])
  const says = new Map(checks.map(({ check, says }) => [check, says]))
  expect(says.get('flow contract keys')).toMatch('key 0 alone can change every contract')
  expect(says.get('flow governors')).toMatch('governs checkpoints, prices, allowed tokens')
})

test('a wrong network', async () => {
  // The standard contracts are elsewhere there, but our scripts need none of them.
  // That one key can change the contracts is as it should be on a local network alone.
  expect(await unwell({ network: 'testnet' })).toEqual([
    'flow access node',
    // Their imports are those of the network: what is there is not what would be there.
    'flow contracts',
    'flow target',
    'flow contract keys',
  ])
})

test('a key that is not ours, and one that is not there; the secret is not shown', async () => {
  const privateKey = '7'.repeat(64)
  expect(await unwell({ privateKey })).toEqual(['flow key 0'])
  expect(JSON.stringify(await findings({ privateKey }))).not.toContain(privateKey)
  expect(await unwell({ keyIndexes: [0, 1] })).toEqual(['flow key 1'])
})

test('an account without the contracts, and one without FLOW', async () => {
  const poor = await world.chain.emulator.client.createAccount({ fundFlow: '0.1' })
  expect(await unwell({ contractsAddress: poor.address })).toEqual([
    'flow contracts',
    'flow target',
    'flow provider',
    'flow meter',
    'flow light client',
    'flow contract keys',
    'flow governors',
  ])
  const privateKey = Buffer.from(poor.privateKey).toString('hex')
  expect(await unwell({ accountAddress: poor.address, privateKey })).toEqual(['flow account'])
})

test('a contract account whose storage is nearly full', async () => {
  const { client } = world.chain.emulator
  const full = await client.createAccount({ fundFlow: '0.0' })
  const at = { contractsAddress: full.address }
  const storage = async () =>
    (await findings(at)).find(({ check }) => check === 'flow contract storage')
  const empty = await storage()
  expect(empty).toMatchObject({ verdict: 'ok' })
  const [used = 0, capacity = 0] = (empty?.says ?? '').match(/\d+/g)?.map(Number) ?? []
  const filling = 'x'.repeat(Math.ceil(0.81 * capacity) - used)
  const cadence = `transaction(filling: String) { prepare(payer: &Account, full: auth(SaveValue) &Account) {
    full.storage.save(filling, to: /storage/filling)
  } }`
  const args = [string(filling)]
  expect((await client.send({ cadence, args, signers: [payer, full] })).error).toBeNull()
  expect(await storage()).toMatchObject({
    verdict: 'warning',
    says: expect.stringMatching(/are used: 8\d %$/),
    fix: expect.stringContaining(`Send FLOW to ${full.address}`),
  })
})

test('a provider that is none', async () => {
  expect(await unwell({ providerId: '77' })).toEqual(['flow provider', 'flow meter'])
})

test('a node that is not there', async () => {
  const checks = await findings({ accessNodes: 'http://127.0.0.1:9', keyIndexes: [0] })
  expect(checks).toEqual([
    {
      check: 'flow access node',
      verdict: 'broken',
      says: expect.stringMatching(/cannot be reached/),
      fix: expect.stringMatching(/nothing else on Flow can be seen/),
    },
  ])
})

// Goal: another edition of a comment is no other contract, and one other word is.
test('contracts that differ in comments, and then in code', async () => {
  const { client } = world.chain.emulator
  const { account } = world.deployed
  const source = new CadenceFiles(
    configOf(world.chain.emulator, payer, { contractsAddress: account.address }),
  ).contract('TokenPrices')
  const update = async (code: string): Promise<void> => {
    const cadence = `transaction(code: String) { prepare(signer: auth(UpdateContract) &Account) {
      signer.contracts.update(name: "TokenPrices", code: code.utf8)
    } }`
    const sent = await client.send({ cadence, args: [string(code)], signers: [account] })
    expect(sent.error).toBeNull()
  }
  const seen = async () =>
    (await findings()).find(({ check }) => check === 'flow contracts') as Finding
  await update(`// Another edition.\n${source}`)
  expect(await seen()).toMatchObject({ verdict: 'ok', says: expect.stringContaining('comments') })
  await update(source.replace(/}\s*$/, '  access(all) fun more() {}\n}\n'))
  const found = await seen()
  expect([found.verdict, found.says.split(' on ')[0]]).toEqual(['broken', 'TokenPrices'])
})
