import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { string } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { sendFile } from '../../devnet/flow/deploy.js'
import { CadenceFiles, contractsOn } from '../../src/settlers/flow/cadence.js'
import { ANCHOR } from '../cadence/batches.js'
import { policyHex, VOTERS_A } from '../cadence/flare.js'
import { EPOCH, ROUNDS_PER_EPOCH, START_ROUND, startWorld, type World } from '../cadence/world.js'
import { deskEnv, runDesk } from './desk-world.js'
import { root, tempFolder } from './run-cli.js'

// Goal: a deployment is looked at first, goes on where it was broken off, is never repeated, and
// never goes on beside what somebody else has put there.
// Method: the command against the emulator, on accounts of its own.

const terms = {
  format: 'flowmeter.deployment.v1',
  flareChainId: 114,
  anchor: ANCHOR,
  checkpoint: policyHex({ epoch: EPOCH, startRound: START_ROUND, ...VOTERS_A }),
  ...{ firstEpochStartRound: 0, roundsPerEpoch: ROUNDS_PER_EPOCH, epochsKept: 8 },
}
const ALL = ['FlareLightClient', 'UsageBatches', 'PricePlans', 'TokenPrices', 'SubscriptionVaults']

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.stop())

async function newAccount(): Promise<FlowAccount> {
  return world.client.createAccount({ fundFlow: '20.0' })
}

function deploy(
  account: FlowAccount,
  change: object,
  args: readonly string[],
  ...rest: Parameters<typeof runDesk> extends [unknown, unknown, ...infer Rest] ? Rest : never
) {
  const file = join(tempFolder(), 'deployment.json')
  writeFileSync(file, JSON.stringify({ ...terms, ...change }))
  return runDesk(['deploy', file, ...args], deskEnv(world, 'DEPLOYER', account), ...rest)
}

function states(out: readonly string[]): readonly string[] {
  const { contracts } = JSON.parse(out[0] ?? '') as {
    contracts: readonly { name: string; state: string }[]
  }
  expect(contracts.map(({ name }) => name)).toEqual(ALL)
  return contracts.map(({ state }) => state)
}

const sent = async ({ address }: FlowAccount) =>
  (await world.client.accountKey(address, 0)).sequenceNumber

test('dry, broken off, gone on, and again', async () => {
  const account = await newAccount()
  const dry = await deploy(account, {}, ['--dry-run', '--json'])
  expect([dry.code, states(dry.out)]).toEqual([0, ALL.map(() => 'missing')])
  expect(await sent(account)).toBe(0n)

  const shutdown = new AbortController()
  const broken = await deploy(account, {}, [], shutdown, (line) => {
    if (line.startsWith('deploy PricePlans: transaction')) shutdown.abort()
  })
  expect(broken.code).toBe(2)
  expect(await sent(account)).toBe(2n)

  const whole = await deploy(account, {}, ['--json'])
  expect([whole.code, states(whole.out)]).toEqual([0, ALL.map(() => 'same')])
  expect(await sent(account)).toBe(5n)

  const again = await deploy(account, {}, [])
  expect([again.code, again.out[0]?.match(/is there$/gm)?.length]).toEqual([0, 5])
  expect(await sent(account)).toBe(5n)

  // What is there was told other terms: that is seen, and stops.
  const change = { epochsKept: 9, anchor: `0x${'ab'.repeat(20)}` }
  const other = await deploy(account, change, [])
  expect(other.code).toBe(2)
  expect(other.out[0]).toContain('DIFFERENT: epochsKept is 8, not 9')
  expect(other.out[0]).toContain(`DIFFERENT: anchor is ${ANCHOR.slice(2)}, not ${'ab'.repeat(20)}`)
})

test('what was deployed works: its target is that of its own account', async () => {
  const account = await newAccount()
  expect((await deploy(account, {}, [])).code).toBe(0)
  const imports = Object.fromEntries(ALL.map((name) => [name, account.address]))
  const target = await world.client.with({ imports }).script(
    `import "UsageBatches"
     access(all) fun main(): String { return UsageBatches.targetName }`,
  )
  expect(target).toBe(`flow:emulator:${account.address.slice(2)}`)
})

test('other code under one of our names stops everything', async () => {
  const account = await newAccount()
  const code = 'access(all) contract TokenPrices {}'
  await sendFile(
    world.client,
    'governor/deploy_contract',
    [string('TokenPrices'), string(code)],
    account,
  )
  const run = await deploy(account, {}, [])
  expect(run.code).toBe(2)
  expect(run.out[0]).toMatch(/TokenPrices \(\d+ bytes\): IS THERE WITH OTHER CODE/)
  expect(await sent(account)).toBe(1n)
})

test.each(['testnet', 'mainnet', 'emulator'] as const)(
  'sources for %s import from the addresses that flow.json has',
  (network) => {
    type Named = Record<string, { readonly aliases: Readonly<Record<string, string>> }>
    const { contracts, dependencies } = JSON.parse(
      readFileSync(join(root, 'cadence/flow.json'), 'utf8'),
    ) as { contracts: Named; dependencies: Named }
    const named = { ...contracts, ...dependencies }
    const ours: readonly string[] = contractsOn(network)
    expect(ours).toEqual(network === 'emulator' ? ALL : [...ALL, 'BandPrices'])
    const own = '0x0123456789abcdef'
    const files = new CadenceFiles({ network, contractsAddress: own })
    const imports = ours.flatMap((name) => [
      ...files
        .transaction(`../contracts/${name}`)
        .matchAll(/^import (\w+) from (0x[0-9a-f]{16})$/gm),
    ])
    expect(imports.length).toBeGreaterThan(6)
    for (const [, name = '', address] of imports) {
      const alias = named[name]?.aliases[network]
      expect([name, address]).toEqual([name, alias === undefined ? own : `0x${alias}`])
      expect(ours.includes(name)).toBe(alias === undefined)
    }
  },
)

test('a dry run needs no key, and a real one does', async () => {
  const account = await newAccount()
  const { FLOW_DEPLOYER_PRIVATE_KEY: _, ...env } = deskEnv(world, 'DEPLOYER', account)
  const file = join(tempFolder(), 'deployment.json')
  writeFileSync(file, JSON.stringify(terms))
  expect((await runDesk(['deploy', file, '--dry-run'], env)).code).toBe(0)
  const run = await runDesk(['deploy', file], env)
  expect([run.code, run.told.join()]).toEqual([
    78,
    expect.stringContaining('FLOW_DEPLOYER_PRIVATE_KEY: is missing'),
  ])
  // Named by the command or by the settings: what is said of one network is never sent to another.
  const named = ['deploy', file, '--network', 'flow-testnet', '--dry-run']
  for (const [args, more] of [
    [['deploy', file, '--dry-run'], { FLOW_NETWORK: 'testnet' }],
    [named, {}],
  ] as const) {
    const elsewhere = await runDesk(args, { ...env, ...more })
    expect([elsewhere.code, elsewhere.told.join()]).toEqual([
      78,
      expect.stringContaining('The node is of flow-emulator, the settings are of flow-testnet'),
    ])
  }
  const unknown = await runDesk(['deploy', file, '--network', 'goerli', '--dry-run'], env)
  expect([unknown.code, unknown.told.join()]).toEqual([
    2,
    expect.stringContaining('there is no network "goerli"'),
  ])
})

test.each<[object, string]>([
  [{ flareChainId: 1 }, 'flareChainId: use 114'],
  [{ anchor: '0x12' }, 'anchor: the address of UsageAnchor has 40 hex digits'],
  [{ checkpoint: '0x00' }, 'checkpoint: expected the bytes of a signing policy'],
  [{ roundsPerEpoch: 0 }, 'roundsPerEpoch'],
  [{ epochsKept: 1 }, 'epochsKept: the last policy alone'],
  [{ owner: 'me' }, 'owner'],
])('wrong terms: %j', async (change, says) => {
  const account = { address: '0x01', keyIndex: 0, privateKey: new Uint8Array(32) } as FlowAccount
  const run = await deploy(account, change, [])
  expect([run.code, run.told.join()]).toEqual([2, expect.stringContaining(says)])
})
