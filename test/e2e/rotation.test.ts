import { copyFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Interface, id, Wallet, ZeroHash } from 'ethers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Proxied } from '../../devnet/fault-proxy.js'
import { Chain } from '../../devnet/flare/chain.js'
import type { CadenceValue } from '../../devnet/flow/cadence-json.js'
import { reckon } from '../../devnet/reckoning.js'
import type { BatchStatus } from '../../src/pipeline/status.js'
import { EngineWorld } from './engine-world.js'

/*
 * The meter's key is changed on real engines, as docs/recovery.md has it, with a batch on its way.
 * One network for all cases; after each of them every row is charged once, by the daemon's checks, by
 * the audit, and by a reckoning that uses nothing of it.
 */

const METER_DELAY_S = 3_600
const { signal } = new AbortController()
const ANCHOR = new Interface([
  `function anchor((uint64 seq, bytes32 root, bytes32 prevRoot, uint64 sealedAt, bytes32 target,
    bytes32 manifest) batch, bytes signature)`,
  'function lastSeq(address meter) view returns (uint64)',
  'function lastRoot(address meter) view returns (bytes32)',
])
const HEADER = {
  UsageBatch: [
    { name: 'seq', type: 'uint64' },
    { name: 'root', type: 'bytes32' },
    { name: 'prevRoot', type: 'bytes32' },
    { name: 'sealedAt', type: 'uint64' },
    { name: 'target', type: 'bytes32' },
    { name: 'manifest', type: 'bytes32' },
  ],
}

/** A meter's settings: its key, and a signer file of its own. */
interface Meter {
  readonly address: string
  readonly env: { readonly METER_KEY: string; readonly METER_SIGNER_FILE: string }
}

let world: EngineWorld
/** The daemon's; the ones before it are revoked. */
let meter: Meter

beforeAll(async () => {
  world = await EngineWorld.start({ meterDelaySeconds: METER_DELAY_S })
  const { METER_KEY = '', METER_SIGNER_FILE = '' } = world.network.env
  meter = { address: new Wallet(METER_KEY).address, env: { METER_KEY, METER_SIGNER_FILE } }
  expect(await world.differences()).toEqual({})
})
afterAll(() => world?.stop())

function newMeter(): Meter {
  const { address, privateKey } = Wallet.createRandom()
  const METER_SIGNER_FILE = join(world.dir, `${address}.json`)
  return { address, env: { METER_KEY: privateKey, METER_SIGNER_FILE } }
}

/** What the provider says, on a machine of its own. */
function setMeter(address: string) {
  const { account } = world.network.flow.provider
  return world.run(['provider', 'set-meter', address], {
    FLOW_PROVIDER_ADDRESS: account.address,
    FLOW_PROVIDER_PRIVATE_KEY: Buffer.from(account.privateKey).toString('hex'),
  })
}

function rotate({ env }: Meter) {
  return world.run(['rotate-meter', '--reason', 'the key leaked', '--json'], env)
}

/** A command that ends with 78, and why is said on its standard error or in the daemon's log. */
async function expectStop(args: readonly string[], { env }: Meter, why: string): Promise<void> {
  const from = logged().length
  const { code, stderr } = await world.run(args, env)
  expect([code, `${stderr}${logged().slice(from)}`]).toEqual([78, expect.stringContaining(why)])
}

const logged = () => readFileSync(world.network.env.LOG_FILE ?? '', 'utf8')

interface FlowBody {
  readonly script: string
  readonly arguments: readonly string[]
}

const plain = (base64: string) => Buffer.from(base64, 'base64').toString('utf8')

/** A transaction of the daemon that calls a function of the contracts on Flow. */
const calls =
  (name: string) =>
  ({ method, path, body }: Proxied) =>
    method === 'POST' &&
    path === '/v1/transactions' &&
    plain((JSON.parse(body) as FlowBody).script).includes(`${name}(`)

/** The same call by somebody else, since anybody may make it. Returns what Flow says. */
async function bring({ body }: Proxied): Promise<string> {
  const { script, arguments: args } = JSON.parse(body) as FlowBody
  const { client, governor } = world.network.flow
  const { error } = await client.send({
    cadence: plain(script),
    args: args.map((arg) => JSON.parse(plain(arg)) as CadenceValue),
    signers: [governor],
  })
  return error ?? ''
}

/** The newest batch, once it is in a state, and problems of workers name a code. */
async function newestIn(state: BatchStatus['state'], problem = ''): Promise<BatchStatus> {
  const { batches } = await world.until(`${state} ${problem}`, async ({ batches: [newest] }) => {
    return newest?.state === state && (await world.problems()).includes(problem)
  })
  const [newest] = batches
  if (newest === undefined) throw new Error('there is no batch')
  return newest
}

/** Time passes on Flow until it takes the batches of the newest meter. */
const passDelay = () => world.network.flow.client.moveClock(METER_DELAY_S * 1_000)

/** Nothing differs: by the daemon, by LiteLLM's rows and Flow's state, by the audit, by the log. */
async function expectRight(): Promise<void> {
  expect(await world.differences()).toEqual({})
  const audited = await world.run(['audit', '--json'], meter.env)
  expect([audited.code, audited.stderr]).toEqual([0, expect.any(String)])
  const { ok, checks } = JSON.parse(audited.stdout) as { ok: boolean; checks: object }
  const found = Object.entries(checks).filter(([, difference]) => difference !== '0')
  expect([ok, found]).toEqual([true, []])
  expect((await world.run(['log', '--verify'])).code).toBe(0)
}

const charges = async () => (await reckon(world.network)).vaults.map(({ charged }) => charged)
const statesOf = async () => {
  const { batches } = await world.until('a status', () => true)
  return batches.map(({ seq, state }) => `${seq} ${state}`)
}

/** Whoever has a meter's key anchors the next batch with it. Returns its number. */
async function anchorAs({ address, env }: Meter): Promise<bigint> {
  const { flare } = world.network
  const chain = new Chain(flare.rpcUrl, signal)
  const ask = async (view: string) => {
    const data = ANCHOR.encodeFunctionData(view, [address])
    return ANCHOR.decodeFunctionResult(view, await chain.call(flare.anchorAddress, data))[0]
  }
  const { identity } = await world.until('a status', () => true)
  const header = {
    seq: (await ask('lastSeq')) + 1n,
    root: id('whatever somebody would like to have paid'),
    prevRoot: await ask('lastRoot'),
    sealedAt: (await chain.head()).timestamp,
    target: identity.target,
    manifest: ZeroHash,
  }
  const domain = {
    ...{ name: 'Flowmeter', version: '1' },
    ...{ chainId: flare.chainId, verifyingContract: flare.anchorAddress },
  }
  const signature = await new Wallet(env.METER_KEY).signTypedData(domain, HEADER, header)
  const data = ANCHOR.encodeFunctionData('anchor', [header, signature])
  const from = flare.accounts[3]?.address ?? ''
  await chain.transact({ from, to: flare.anchorAddress, data })
  expect(await ask('lastSeq')).toBe(header.seq)
  return header.seq
}

// Goal: the usage of a batch whose meter is revoked while it is on its way is charged once, by the next
// meter, and the old key is good for nothing. Method: the batch is proven, and what brings it to Flow
// is held back until the provider has named another meter; then whoever likes brings it.
test('a proven batch, while its meter is revoked', async () => {
  const [old, before] = [meter, await charges()]
  const held = world.hold(world.flow, calls('acceptBatch'))
  world.use()
  const acceptance = await held.caught
  const inFlight = await newestIn('attested')
  meter = newMeter()
  expect(await setMeter(meter.address)).toMatchObject({ code: 0 })
  await passDelay()
  expect(await bring(acceptance)).toContain(
    `does not prove batch ${inFlight.seq} of meter ${meter.address.slice(2).toLowerCase()}`,
  )
  held.release()
  expect(await world.daemon.exited).toBe(78)
  expect(logged()).toContain('flowmeter rotate-meter')
  expect(await charges()).toEqual(before)

  // Nobody can go on with the old key, or bring it back.
  expect((await setMeter(old.address)).stderr).toContain('was revoked')
  expect((await rotate(old)).code).not.toBe(0)
  const rotated = await rotate(meter)
  expect(rotated).toMatchObject({ code: 0 })
  expect(JSON.parse(rotated.stdout).voided).toContain(inFlight.seq)
  expect((await world.run(['start'], old.env)).code).toBe(78)

  await world.restart(meter.env)
  await anchorAs(old)
  world.use()
  await expectRight()
  expect(await statesOf()).toContain(`${inFlight.seq} superseded`)
  expect((await newestIn('settled')).seq).toMatch(/^2\./)
  // What comes later, and what somebody anchors meanwhile.
  await anchorAs(old)
  world.use()
  await expectRight()
})

// Goal: a store that knows neither what its meter did last, nor that another one follows, charges nothing
// twice and loses nothing. Method: copied; then a batch that is settled, one that is on its way while
// the meter is revoked, two of the next meter; then the copy takes the store's place.
test('a backup from before a rotation, restored after it', async () => {
  const old = meter
  const copy = join(world.dir, 'backup.sqlite')
  expect(await world.run(['backup', copy])).toMatchObject({ code: 0 })
  world.use()
  expect(await world.differences()).toEqual({})
  const held = world.hold(world.flow, calls('settle'))
  world.use()
  const settlement = await held.caught
  const inFlight = await newestIn('accepted')
  meter = newMeter()
  expect(await setMeter(meter.address)).toMatchObject({ code: 0 })
  const before = await charges()
  expect(await bring(settlement)).toContain('miss the root of batch')
  expect(await charges()).toEqual(before)
  held.release()
  expect(await world.daemon.exited).toBe(78)
  const rotated = await rotate(meter)
  expect(JSON.parse(rotated.stdout).voided).toContain(inFlight.seq)
  await world.restart(meter.env)
  // Proven, and Flow takes nothing of the new meter yet.
  await newestIn('attested', 'meter_not_active')
  expect(await charges()).toEqual(before)
  await passDelay()
  expect(await world.differences()).toEqual({})
  world.use()
  expect(await world.differences()).toEqual({})
  const whole = await charges()
  const made = (await statesOf()).filter((name) => name.startsWith('3.')).length

  await world.daemon.kill9()
  world.use()
  const { DATABASE_URL = '' } = world.network.env
  const store = DATABASE_URL.slice('sqlite:'.length)
  for (const rest of ['', '-wal', '-shm']) rmSync(`${store}${rest}`, { force: true })
  copyFileSync(copy, store)
  // It goes on neither as the old meter, which is revoked, nor as the new one, before it is told so.
  await expectStop(['start'], old, 'flowmeter adopt')
  await expectStop(['adopt', '--reason', 'the disk was lost'], old, 'flowmeter rotate-meter')
  await expectStop(['start'], meter, 'flowmeter rotate-meter')
  await expectStop(['adopt', '--reason', 'the disk was lost'], meter, 'flowmeter rotate-meter')
  expect(await rotate(meter)).toMatchObject({ code: 0 })
  await expectStop(['start'], meter, 'flowmeter adopt')
  expect(await charges()).toEqual(whole)
  const adopted = await world.run(['adopt', '--reason', 'the disk was lost', '--json'], meter.env)
  expect(adopted).toMatchObject({ code: 0 })
  expect(JSON.parse(adopted.stdout)).toMatchObject({ batches: made, lastSeq: `${made}` })
  await world.restart(meter.env)
  await expectRight()
  expect((await statesOf()).filter((name) => name.startsWith('3.')).length).toBeGreaterThan(made)
})
