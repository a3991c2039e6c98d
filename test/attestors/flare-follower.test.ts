import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type RpcProxy, startRpcProxy } from '../../devnet/faults.js'
import { Chain } from '../../devnet/flare/chain.js'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { FlareAttestor } from '../../src/attestors/flare/attestor.js'
import { type FlareConfig, flareConfig } from '../../src/attestors/flare/config.js'
import { interfaces, topicOf } from '../../src/attestors/flare/contracts.js'
import { readPolicy } from '../../src/attestors/flare/signing-policy.js'
import type { Hex } from '../../src/domain/bytes.js'
import type { Store } from '../../src/ports/stores.js'
import { systemClock } from '../../src/runtime/clock.js'
import { PATIENCE_MS } from '../support/patience.js'
import { StoreFile } from '../support/store-file.js'
import { evmKeyOf } from '../support/test-keys.js'

const { signal } = new AbortController()
const files: StoreFile[] = []
let dir: string
let flare: LocalFlare
let node: RpcProxy

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-follower-'))
  // Of one second, a machine that is busy would leave out the rounds that show the first policy.
  flare = await startFlare({ dir, roundSeconds: 2, neighbours: 1 })
  node = await startRpcProxy(flare.rpcUrl)
})
afterAll(async () => {
  for (const file of files) await file.remove()
  await node?.stop()
  await flare?.stop()
  rmSync(dir, { recursive: true })
})
afterEach(() => node.misbehave(undefined))

async function newStore(): Promise<Store> {
  const file = new StoreFile(systemClock)
  files.push(file)
  return file.open()
}

function attestorOf(store: Store, more: Partial<Record<keyof FlareConfig, unknown>> = {}) {
  const config = flareConfig.parse({
    rpcUrls: node.url,
    anchorAddress: flare.anchorAddress,
    gasKey: flare.accounts[0]?.privateKey,
    meterKey: `0x${'07'.repeat(32)}`,
    registryRefreshMs: 0,
    requestTimeoutMs: 60_000,
    ...more,
  })
  return new FlareAttestor(config, store, evmKeyOf(config.gasKey))
}

async function untilEpoch(rewardEpoch: number): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS
  while (flare.lastPolicy().rewardEpochId < rewardEpoch) {
    if (performance.now() > deadlineMs) throw new Error(`no policy ${rewardEpoch} in time`)
    await sleep(100)
  }
}

/** The block in which the last round of a reward epoch was relayed that has a root. */
async function lastMessageOf(rewardEpoch: number): Promise<number> {
  const chain = new Chain(flare.rpcUrl, signal)
  const relayed = topicOf(interfaces.relay, 'ProtocolMessageRelayed')
  const logs = (await chain.rpc('eth_getLogs', [{ topics: [relayed], fromBlock: '0x0' }])) as {
    address: string
    topics: string[]
    blockNumber: string
  }[]
  const next = interfaces.relay.encodeFunctionData('startingVotingRoundIds', [rewardEpoch + 1])
  const end = Number(await chain.call(logs[0]?.address ?? '', next))
  const last = logs.findLast(({ topics }) => Number(topics[2]) < end)
  if (last === undefined) throw new Error(`no round of reward epoch ${rewardEpoch} has a root`)
  return Number(last.blockNumber)
}

/** Steps until there is nothing more to read; how many it took. */
async function followAll(attestor: FlareAttestor, accepted: number): Promise<number> {
  for (let steps = 1; ; steps += 1) {
    if (!(await attestor.follow(accepted, signal))) return steps
  }
}

// Goal: what was seen is enough, however little nodes keep. Method: follow, prune the node, ask a
// new process for all policies; one that saw nothing has nothing to show.
test('brings every policy from what it saw, when nodes have pruned it', async () => {
  const { rewardEpochId: first } = flare.checkpoint
  const store = await newStore()
  await untilEpoch(first + 3)
  await followAll(attestorOf(store), first)
  const before = await attestorOf(store).policyProof(first + 2, signal)
  node.misbehave({ kind: 'pruned' })
  const restarted = attestorOf(store)
  const proof = await restarted.policyProof(first + 2, signal)
  expect(proof).toEqual(before)
  expect(proof?.signatures.length).toBeGreaterThan(1)
  await expect(attestorOf(await newStore()).policyProof(first + 2, signal)).rejects.toMatchObject({
    code: 'policy_not_found',
  })
})

// Goal: a daemon that starts late in the checkpoint's epoch brings the next policy all the same.
// Method: it sees the policy set and signed, but nothing shows who its signers are: no event ever
// did, and relayed messages are pruned. The light client, which has to check them, knows them.
test('proves the policy after the checkpoint with the signers that the light client holds', async () => {
  const { rewardEpochId: first, policyBytes } = flare.checkpoint
  const store = await newStore()
  await untilEpoch(first + 2)
  await followAll(attestorOf(store), first)
  node.misbehave({ kind: 'pruned' })
  const attestor = attestorOf(store)
  await expect(attestor.policyProof(first + 1, signal)).rejects.toMatchObject({
    code: 'policy_not_found',
  })
  const held = readPolicy(policyBytes as Hex)
  if (held === undefined) throw new Error('no policy')
  const signersOf = vi.fn(async () => held)
  const proof = await attestor.policyProof(first + 1, signal, signersOf)
  expect(signersOf).toHaveBeenCalledExactlyOnceWith(first)
  expect(proof?.signatures.length).toBeGreaterThan(1)
  node.misbehave(undefined)
  expect(await attestorOf(await newStore()).policyProof(first + 1, signal)).toEqual(proof)
})

// Goal: the policy in force is shown by what was relayed a minute ago. Method: the first policy has
// no event, and the node keeps nothing from before the last message of its epoch.
test('reads a policy off the newest message that it signed', async () => {
  const { rewardEpochId: first, policyBytes } = flare.checkpoint
  await untilEpoch(first + 2)
  node.misbehave({ kind: 'pruned', beforeBlock: await lastMessageOf(first) })
  expect(await attestorOf(await newStore()).policyBytes(first, signal)).toBe(policyBytes)
})

// Goal: after an outage the first node has pruned what it missed, and does not say so; the second one
// still shows it. Method: a daemon that saw the policy set, but not signed, reads on where all is gone.
test('finds at another node what the first one has pruned', async () => {
  const { rewardEpochId: last } = flare.lastPolicy()
  const store = await newStore()
  const rpcUrls = `${node.url},${flare.rpcUrl}`
  // One more than is proven: the newest one may be set, and not yet signed.
  await untilEpoch(last + 3)
  node.misbehave({ kind: 'pruned' })
  const attestor = attestorOf(store, { rpcUrls })
  await followAll(attestor, last)
  const archive = attestorOf(await newStore(), { rpcUrls: flare.rpcUrl })
  const policy = await archive.policyBytes(last + 1, signal)
  const untilBlock = await store.sightings.readUntil()
  if (policy === undefined || untilBlock === undefined) throw new Error('nothing was read')
  const policies = [{ rewardEpoch: last + 1, policy }]
  await store.sightings.savePage({ policies, votes: [], untilBlock })
  for (const epoch of [last + 1, last + 2]) {
    expect((await attestor.policyProof(epoch, signal))?.rewardEpoch).toBe(epoch)
  }
})

// Goal: days of outage are caught up without one endless step. Method: windows of one block, so that
// the past of this short network has many; each step reads twenty of them and keeps its place.
test('catches up in bounded steps, and goes on after a restart where it was', async () => {
  const { rewardEpochId: first } = flare.checkpoint
  const store = await newStore()
  const last = first + 4
  await untilEpoch(last)
  const more = { logWindowBlocks: 1 }
  expect(await attestorOf(store, more).follow(first, signal)).toBe(true)
  const stopped = (await store.sightings.readUntil()) ?? 0
  expect(await attestorOf(store, more).follow(first, signal)).toBeDefined()
  expect(await store.sightings.readUntil()).toBeGreaterThan(stopped)
  await followAll(attestorOf(store, more), first)
  // From the second on: no event shows the first one, the checkpoint itself.
  for (let epoch = first + 2; epoch < last; epoch += 1) {
    expect(await store.sightings.policies(epoch)).toHaveLength(1)
    expect((await attestorOf(store).policyProof(epoch, signal))?.rewardEpoch).toBe(epoch)
  }
})

test('a policy goes on being proven when the Relay is replaced, on both sides of it', async () => {
  const store = await newStore()
  const attestor = attestorOf(store)
  const { rewardEpochId: before } = flare.lastPolicy()
  await followAll(attestor, before - 1)
  const { address } = await flare.replaceRelay()
  const { rewardEpochId: first } = flare.lastPolicy()
  await untilEpoch(first + 2)
  await followAll(attestor, before - 1)
  expect(await store.sightings.relays()).toHaveLength(2)
  expect((await store.sightings.relays())[0]).toBe(address.toLowerCase())
  for (let epoch = before; epoch <= first + 1; epoch += 1) {
    expect((await attestor.policyProof(epoch, signal))?.rewardEpoch).toBe(epoch)
  }
  // A store of after the change knows no Relay of before: that is told, not waited for.
  const late = attestorOf(await newStore()).policyProof(flare.checkpoint.rewardEpochId + 1, signal)
  await expect(late).rejects.toThrow('FLARE_PAST_RELAYS')
  const { newest, inForce } = await attestor.epochs(signal)
  expect(newest).toBeGreaterThanOrEqual(first + 2)
  expect(inForce).toBeLessThanOrEqual(newest)
})
