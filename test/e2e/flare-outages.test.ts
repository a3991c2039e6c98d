import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Digests } from '../../devnet/flare/formats.js'
import { array, string, uint } from '../../devnet/flow/cadence-json.js'
import { sendFile } from '../../devnet/flow/deploy.js'
import {
  digestOf,
  enoughSignatures,
  messageHash,
  relayCallsIn,
} from '../../src/attestors/flare/signing-policy.js'
import { type Hex, keccak } from '../../src/domain/bytes.js'
import { type FlareWorld, startFlareWorld } from './flare-world.js'

/*
 * What happens to Flare's voters over days, on one network: the digests change with the Relay, many
 * policies come while the daemon is away, and at last one that nobody can prove any more. After each,
 * all batches are settled.
 */

/** More than pass while the network starts on a machine that is busy. */
const OLDER_RELAY_EPOCHS = 12
const EPOCHS_AWAY = 10
const CHECKPOINT_DELAY_SECONDS = 3
const MAIN = resolve(import.meta.dirname, '../../dist/src/main.js')

const ANY_ROOT = keccak('0x0bad')
let world: FlareWorld

beforeAll(async () => {
  world = await startFlareWorld({
    roundSeconds: 2,
    olderRelayEpochs: OLDER_RELAY_EPOCHS,
    checkpointDelaySeconds: CHECKPOINT_DELAY_SECONDS,
  })
})
afterAll(() => world?.stop())

async function expectAllSettled(): Promise<void> {
  const { status, reckoning } = await world.settled()
  expect(status.parked).toEqual([])
  expect(Object.entries(reckoning.checks).filter(([, value]) => value !== 0n)).toEqual([])
  expect(status.records.sealed).toBe(reckoning.billableRows)
}

function roundOfLast(): Promise<number> {
  return world.until('a settled batch', async () => (await world.status()).batches[0]?.round)
}

/** Brings Flow a root that all voters of the round signed. Returns why it is refused, if it is. */
async function submitRoot(round: number, digests: Digests): Promise<string | undefined> {
  const { flare, flow } = world.network
  const [call] = relayCallsIn(flare.signRoot(round, ANY_ROOT, digests) as Hex)
  if (call === undefined) throw new Error('no call')
  const { policy, message, votes } = call
  const scheme = digests === 'older' ? 'legacy' : 'bound'
  const digest = digestOf(messageHash(message, scheme, flare.chainId))
  const signatures = enoughSignatures(policy, digest, votes) ?? []
  const digits = (bytes: Hex) => string(bytes.slice(2))
  const args = [
    uint('UInt32', round),
    uint('UInt256', BigInt(ANY_ROOT)),
    array(signatures.map(({ index }) => uint('UInt16', index))),
    array(signatures.map(({ publicKey }) => digits(publicKey))),
    array(signatures.map(({ signature }) => digits(signature))),
  ]
  return refusalOf(sendFile(flow.client, 'anybody/submit_root', args, flow.provider.account))
}

async function refusalOf(sending: Promise<unknown>): Promise<string | undefined> {
  try {
    await sending
    return undefined
  } catch (error) {
    return String(error)
  }
}

// Goal: the change of digests is followed, and nothing signed the older way counts after it. Method:
// a batch on both sides of the boundary; then Flow is shown roots that all voters signed.
test('the older digests prove batches up to the boundary, and none after it', async () => {
  const { boundFrom, lastPolicy } = world.network.flare
  const { round: boundary = 0, policyEpoch = 0 } = boundFrom ?? {}
  expect(lastPolicy().rewardEpochId).toBeLessThan(policyEpoch - 1)
  await expectAllSettled()
  const older = await roundOfLast()
  expect(older).toBeLessThan(boundary)
  await world.passEpochs(policyEpoch - lastPolicy().rewardEpochId)
  world.use()
  await expectAllSettled()
  const bound = await roundOfLast()
  expect(bound).toBeGreaterThanOrEqual(boundary)

  const notSigned = /The signature is not one of voter|The public key is not that of voter/
  expect(await submitRoot(older - 1, 'older')).toBeUndefined()
  expect(await submitRoot(bound, 'older')).toMatch(notSigned)
  expect(await submitRoot(older, 'bound')).toMatch(notSigned)
})

// Goal: days of outage are caught up, policy by policy. Method: a batch is left in flight, ten
// policies pass, and the first node keeps no log of them; the second one does.
test('away for many reward epochs, with a node that has pruned them: all is caught up', async () => {
  world.use()
  await world.batchIn('anchored', 'requested', 'finalised')
  await world.kill()
  world.use()
  const { rewardEpochId: before } = world.network.flare.lastPolicy()
  await world.passEpochs(EPOCHS_AWAY)
  world.nodes[0].misbehave({ kind: 'pruned', beforeBlock: (await world.chain.head()).number })
  await world.restart()
  await expectAllSettled()
  await world.until('the light client to be level', async () =>
    (await world.status()).policies?.behind === 0 ? true : undefined,
  )
  expect((await world.status()).policies?.accepted).toBeGreaterThanOrEqual(before + EPOCHS_AWAY)
  world.nodes[0].misbehave(undefined)
})

// Goal: what no node can prove any more stops charging, loses nothing, and is mended by governance
// alone, in public and after a delay. Method: the policies of an outage are pruned everywhere.
test('a policy that nobody shows any more: governance sets a checkpoint, and all goes on', async () => {
  await world.kill()
  world.use()
  await world.passEpochs(3)
  const beforeBlock = (await world.chain.head()).number
  for (const node of world.nodes) node.misbehave({ kind: 'pruned', beforeBlock })
  await world.passEpochs(3)
  await world.restart()
  await world.until('the reason', async () => {
    const { policies } = await world.status()
    const { accept = '' } = await world.problems()
    return accept.startsWith('policy_not_found') && (policies?.behind ?? 0) > 0 ? true : undefined
  })

  const checkpoint = await readCheckpoint()
  const { flow } = world.network
  const propose = [string(checkpoint.slice(2))]
  await sendFile(flow.client, 'governor/propose_checkpoint', propose, flow.governor)
  const adopt = () => sendFile(flow.client, 'anybody/adopt_checkpoint', [], flow.provider.account)
  expect(await refusalOf(adopt())).toMatch('It may be adopted from')
  const refused = await world.status()
  expect(refused.policies?.behind).toBeGreaterThan(0)
  await world.until('the alarm of the proposal', async () => {
    const { alarms } = await world.status()
    return alarms.some(({ id }) => id === 'checkpoint_proposed') ? true : undefined
  })
  await world.until('the delay to be over', async () =>
    (await refusalOf(adopt())) === undefined ? true : undefined,
  )
  await expectAllSettled()
  await world.until('the light client to be level', async () =>
    (await world.status()).policies?.behind === 0 ? true : undefined,
  )
})

/** As an operator reads it, through the same pruned nodes. */
async function readCheckpoint(): Promise<string> {
  const { PATH = '', HOME = '' } = process.env
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'checkpoint', '--json'], {
    cwd: world.dir,
    env: { PATH, HOME, ...world.env },
  })
  return (JSON.parse(stdout) as { checkpoint: string }).checkpoint
}
