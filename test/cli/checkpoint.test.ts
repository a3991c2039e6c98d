import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { policyBytes } from '../../devnet/flare/formats.js'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { type DeskRun, runDesk } from './desk-world.js'

// Goal: what a deployment is started from is the policy that Flare's own contracts know.
// Method: the command against the local Flare, whose keys and policies the test knows itself.

const WAIT_MS_MAX = 90_000

let dir: string
let flare: LocalFlare
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-checkpoint-'))
  flare = await startFlare({ dir, roundSeconds: 1 })
})
afterAll(async () => {
  await flare?.stop()
  rmSync(dir, { recursive: true, force: true })
})

function checkpoint(...args: string[]): Promise<DeskRun> {
  return runDesk(['checkpoint', ...args], {
    FLARE_ENDPOINT: flare.rpcUrl,
    FLARE_CHAIN_ID: String(flare.chainId),
    FLARE_ANCHOR_ADDRESS: flare.anchorAddress,
    FLARE_GAS_KEY: flare.accounts[0]?.privateKey ?? '',
    METER_KEY: `0x${'c2'.repeat(32)}`,
  })
}

test('the policy in the making, once it is signed', { timeout: 120_000 }, async () => {
  // The first policy is there from the start, without the event that shows all later ones.
  const rewardEpoch = flare.checkpoint.rewardEpochId + 2
  const deadline = performance.now() + WAIT_MS_MAX
  const made = new Map<number, string>()
  let run = await checkpoint(`${rewardEpoch}`, '--json')
  while (run.code !== 0 && performance.now() < deadline) {
    await sleep(500) // Polled: the next policy is signed when the providers get to it.
    const policy = flare.lastPolicy()
    made.set(policy.rewardEpochId, policyBytes(policy))
    run = await checkpoint(`${rewardEpoch}`, '--json')
  }
  expect(run.told).toEqual([])
  const last = flare.lastPolicy()
  made.set(last.rewardEpochId, policyBytes(last))
  expect(JSON.parse(run.out[0] ?? '')).toEqual({
    rewardEpoch,
    flareChainId: flare.chainId,
    anchor: flare.anchorAddress.toLowerCase(),
    checkpoint: made.get(rewardEpoch),
  })
})

test('none of an epoch that is not there yet', async () => {
  const run = await checkpoint('99999')
  expect([run.code, run.out]).toEqual([2, []])
  expect(run.told.join()).toContain('there is no policy of reward epoch 99999')
  expect((await checkpoint('soon')).code).toBe(2)
})
