import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '../../../devnet/fault-proxy.js'
import { uint } from '../../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../../devnet/flow/client.js'
import { sendFile } from '../../../devnet/flow/deploy.js'
import { ConfigError, RetryableError } from '../../../src/domain/errors.js'
import { batchId, purpose } from '../../../src/domain/ids.js'
import { type Delivery, deliver } from '../../../src/pipeline/deliver.js'
import type { Call } from '../../../src/ports/lane.js'
import type { Store } from '../../../src/ports/stores.js'
import { systemClock } from '../../../src/runtime/clock.js'
import { CadenceFiles } from '../../../src/settlers/flow/cadence.js'
import { FlowClient } from '../../../src/settlers/flow/client.js'
import { nodesOf } from '../../../src/settlers/flow/config.js'
import { string } from '../../../src/settlers/flow/json-cadence.js'
import { ensureKeys } from '../../../src/settlers/flow/keys.js'
import { FlowLane } from '../../../src/settlers/flow/lane.js'
import { FlowSettler } from '../../../src/settlers/flow/settler.js'
import { openSigner } from '../../../src/signers/index.js'
import { runCli, tempFolder } from '../../cli/run-cli.js'
import { PATIENCE_MS } from '../../support/patience.js'
import { StoreFile } from '../../support/store-file.js'
import { type Chain, configOf, startChain } from './world.js'

/* The keys of the daemon's account on a real chain: added, used side by side, and disturbed. */

const { signal } = new AbortController()
const signerOf = ({ privateKey }: { privateKey: string }) =>
  openSigner(privateKey, 'FLOW_PRIVATE_KEY')
const file = new StoreFile(systemClock)
let chain: Chain
let account: FlowAccount
let proxy: FaultProxy
let store: Store
let cases = 0

beforeAll(async () => {
  chain = await startChain()
  account = await chain.emulator.client.createAccount({ keys: 1, fundFlow: '10.0' })
  proxy = await startFaultProxy(chain.emulator.restUrl)
  store = await file.open()
})
afterAll(async () => {
  await proxy?.stop()
  await chain?.stop()
  await file.remove()
})

function configFor(more: Record<string, unknown> = {}) {
  return configOf(chain.emulator, account, { requestTimeoutMs: 60_000, ...more })
}

function ensure(count: number, more: Record<string, unknown> = {}) {
  return ensureKeys(configFor(more), count, () => {}, signal)
}

/** It works once for each name: doing it twice shows as a refusal. */
function deployCall(name: string): Call {
  const args = [string(name), string(`access(all) contract ${name} {}`)]
  return { what: `deploy ${name}`, body: { transaction: 'governor/deploy_contract', args } }
}

function laneOf(keyIndex: number, more: Record<string, unknown> = {}): FlowLane {
  const config = configFor(more)
  const client = new FlowClient(nodesOf(config))
  return new FlowLane({
    client,
    files: new CadenceFiles(config),
    keyIndex,
    signer: signerOf(config),
    config,
  })
}

/** Delivers again and again, as a worker does, until it is done. What may pass is tried again. */
async function delivered(send: () => Promise<Delivery>): Promise<Delivery> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const sent = await send().catch((error: unknown) => {
      if (!(error instanceof RetryableError) || performance.now() > deadline) throw error
      return 'on-its-way' as const
    })
    if (sent !== 'on-its-way') return sent
    if (performance.now() > deadline) throw new Error('it was not delivered')
    await chain.emulator.client.makeBlock()
  }
}

test('keys are added up to a number, and running it again adds none', async () => {
  await expect(
    new FlowSettler(configFor({ keyIndexes: '0-2' })).checkLanes(signal),
  ).rejects.toMatchObject({ code: 'flow_key_missing' })
  const { accountAddress: address } = configFor()
  expect(await ensure(3)).toEqual({ address, indexes: [0, 1, 2], added: 2 })
  expect(await ensure(3)).toEqual({ address, indexes: [0, 1, 2], added: 0 })
  expect(await ensure(1)).toMatchObject({ indexes: [0, 1, 2], added: 0 })
  await new FlowSettler(configFor({ keyIndexes: '0-2' })).checkLanes(signal)
})

test('a key that is revoked is not repeated', async () => {
  const { client } = chain.emulator
  const owner = await client.createAccount({ keys: 2, fundFlow: '1.0' })
  const revoke = `transaction { prepare(signer: auth(RevokeKey) &Account) {
    signer.keys.revoke(keyIndex: 1)
  } }`
  expect((await client.send({ cadence: revoke, signers: [owner] })).error).toBeNull()
  const args = [uint('Int', 1), uint('Int', 1)]
  await expect(sendFile(client, 'relayer/add_keys', args, owner)).rejects.toThrow(
    'Key 1 is revoked',
  )
  await sendFile(client, 'relayer/add_keys', [uint('Int', 0), uint('Int', 1)], owner)
})

test('the command says what to set; a wrong number is the caller’s mistake', async () => {
  const env = {
    FLOW_NETWORK: 'emulator',
    FLOW_ACCESS_NODE: chain.emulator.restUrl,
    FLOW_ACCOUNT_ADDRESS: account.address,
    FLOW_PRIVATE_KEY: Buffer.from(account.privateKey).toString('hex'),
  }
  const add = (...args: readonly string[]) =>
    runCli(['flow', 'add-keys', '--count', ...args], { cwd: tempFolder(), env })
  const told = await add('4')
  expect([told.code, told.stdout]).toEqual([
    0,
    `${configFor().accountAddress} has 4 keys, 1 of them new. Set FLOW_KEY_INDEXES=0,1,2,3\n`,
  ])
  const again = await add('4', '--json')
  expect(JSON.parse(again.stdout)).toMatchObject({ indexes: [0, 1, 2, 3], added: 0 })
  for (const count of ['0', '101', 'many']) {
    const { code, stderr } = await add(count)
    expect([code, stderr]).toEqual([2, `error: "${count}" is no number from 1 to 100\n`])
  }
})

test('a key that is not ours is not repeated, and not started with', async () => {
  const other = { privateKey: '5'.repeat(64) }
  await expect(ensure(9, other)).rejects.toBeInstanceOf(ConfigError)
  await expect(new FlowSettler(configFor(other)).checkLanes(signal)).rejects.toMatchObject({
    code: 'flow_key_unusable',
  })
})

test('each key carries one transaction, all at the same time', async () => {
  const lanes = [laneOf(0), laneOf(1), laneOf(2)]
  const ways = { lanes, outbox: store.outbox }
  const names = [1n, 2n, 3n].map((seq) => purpose.accept(batchId(seq)))
  const call = (i: number) => () => deployCall(`Parallel${i}`)
  for (const [i, name] of names.entries()) await deliver(name, call(i), ways, signal)
  const open = await Promise.all(lanes.map(({ name }) => store.outbox.openOn(name)))
  expect(open.map((tx) => tx?.purpose)).toEqual(names)
  for (const [i, name] of names.entries()) {
    expect(await delivered(() => deliver(name, call(i), ways, signal))).toBe('landed')
  }
  expect(lanes.every(({ lastUse }) => lastUse !== undefined && lastUse > 0 && lastUse < 1)).toBe(
    true,
  )
})

// Goal: a key's number that somebody else used heals by itself, with the store as it is. Method: ours
// is signed and saved, and lost on its way; another transaction of the same key takes the number.
test('a number that a foreign transaction used: ours is signed anew, and done once', async () => {
  const lane = laneOf(0, { accessNodes: proxy.url })
  const ways = { lanes: [lane], outbox: store.outbox }
  const name = purpose.accept(batchId(10n))
  const send = () => deliver(name, () => deployCall('AfterDrift'), ways, signal)
  proxy.faultOf = ({ method }) => (method === 'POST' ? { kind: 'lostRequest' } : undefined)
  await expect(send()).rejects.toBeInstanceOf(RetryableError)
  const first = await store.outbox.openOn(lane.name)
  await chain.emulator.client.sendOrThrow({
    cadence: 'transaction { prepare(signer: &Account) {} }',
    args: [],
    signers: [account.key(0)],
  })
  proxy.faultOf = () => undefined
  expect(await delivered(send)).toBe('landed')
  const [last, before] = await store.outbox.newest(2)
  expect([last?.purpose, last?.fate]).toEqual([name, 'landed'])
  expect([before?.id, before?.fate]).toEqual([first?.id, 'gone'])
})

test('an answer that was lost: the same bytes again, done once', async () => {
  const lane = laneOf(1, { accessNodes: proxy.url })
  const ways = { lanes: [lane], outbox: store.outbox }
  const name = purpose.accept(batchId(11n))
  const send = () => deliver(name, () => deployCall('LostAnswer'), ways, signal)
  proxy.faultOf = ({ method }) => (method === 'POST' ? { kind: 'lostAnswer' } : undefined)
  await expect(send()).rejects.toBeInstanceOf(RetryableError)
  const id = (await store.outbox.openOn(lane.name))?.id
  proxy.faultOf = () => undefined
  expect(await delivered(send)).toBe('landed')
  expect((await store.outbox.newest(1))[0]?.id).toBe(id)
})

// Goal: one node that answers is enough, whatever the other says. Method: the same transaction by way
// of a node that is well and one that misbehaves all the time, the bad one asked first.
test.each([
  { kind: 'lostRequest' },
  { kind: 'lostAnswer' },
  { kind: 'truncated' },
  { kind: 'emptyStatus' },
  { kind: 'answer', status: 404, body: '{"code":404,"message":"not found"}' },
  { kind: 'answer', status: 429, body: '{"code":429,"message":"too many requests"}' },
  { kind: 'answer', status: 500, body: '<html>' },
  { kind: 'stale', blocks: 40 },
  { kind: 'slow', byteMs: 50 },
] as const)('one of two nodes is enough: the other is $kind', async (fault) => {
  const name = purpose.accept(batchId(BigInt(20 + cases)))
  cases += 1
  const both = { accessNodes: [proxy.url, chain.emulator.restUrl], requestTimeoutMs: 2_000 }
  const ways = { lanes: [laneOf(2, both)], outbox: store.outbox }
  const call = () => deployCall(`Failover${cases}`)
  proxy.faultOf = () => fault
  const sent = await delivered(() => deliver(name, call, ways, signal))
  proxy.faultOf = () => undefined
  expect(sent).toBe('landed')
})
