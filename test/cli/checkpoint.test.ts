import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { policyBytes } from '../../devnet/flare/formats.js'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { PATIENTLY } from '../support/patience.js'
import { type DeskRun, runDesk } from './desk-world.js'

// Goal: what a deployment is started from is the policy that Flare's own contracts know.
// Method: the command against the local Flare, whose keys and policies the test knows itself.

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

test('the policy in the making, once it is signed', async () => {
  // The first policy is there from the start, without the event that shows all later ones.
  const rewardEpoch = flare.checkpoint.rewardEpochId + 2
  const made = await vi.waitUntil(() => {
    const last = flare.lastPolicy()
    return last.rewardEpochId === rewardEpoch ? policyBytes(last) : undefined
  }, PATIENTLY)
  const run = await vi.waitUntil(async () => {
    const now = await checkpoint(`${rewardEpoch}`, '--json')
    return now.code === 0 ? now : undefined
  }, PATIENTLY)
  expect(run.told).toEqual([])
  expect(JSON.parse(run.out[0] ?? '')).toEqual({
    rewardEpoch,
    flareChainId: flare.chainId,
    anchor: flare.anchorAddress.toLowerCase(),
    checkpoint: made,
  })
})

test('none of an epoch that is not there yet', async () => {
  const run = await checkpoint('99999')
  expect([run.code, run.out]).toEqual([2, []])
  expect(run.told.join()).toContain('there is no policy of reward epoch 99999')
  expect((await checkpoint('soon')).code).toBe(2)
})
