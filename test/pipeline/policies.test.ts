import { afterEach, beforeEach, expect, test } from 'vitest'
import { policiesNext } from '../../src/pipeline/policies.js'
import { policyStatus } from '../../src/pipeline/policy-status.js'
import type { PolicyEpochs } from '../../src/ports/attestor.js'
import type { LightClient } from '../../src/ports/settler.js'
import type { Store } from '../../src/ports/stores.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'

const START_MS = 1_790_000_000_000
const HOUR_MS = 3_600_000
const { signal } = new AbortController()

const clock = new ManualClock(START_MS)
let file: StoreFile
let store: Store

beforeEach(async () => {
  file = new StoreFile(clock)
  store = await file.open()
})
afterEach(() => file.remove())

/** What `/status` says after one look at both chains. */
async function look(epochs: PolicyEpochs, lightClient: LightClient) {
  const follower = { epochs: async () => epochs, follow: async () => false }
  const settler = { lightClient: async () => lightClient }
  await policiesNext({ watch: store.watch, follower, settler, clock }, signal)
  return policyStatus(store.watch)
}

const nothingDone = { proposal: undefined, poisonedRounds: [] }

test('since when the light client is behind outlives looks and restarts, and ends', async () => {
  const epochs = { newest: 6, inForce: 5 }
  const isoAt = (instantMs: number) => new Date(instantMs).toISOString()
  expect(await look(epochs, { lastEpoch: 5, ...nothingDone })).not.toHaveProperty('behindSince')
  const since = isoAt(clock.now())
  const behind = { behind: 1, behindSince: since }
  expect(await look(epochs, { lastEpoch: 4, ...nothingDone })).toMatchObject(behind)
  clock.pass(HOUR_MS)
  await file.close(store)
  store = await file.open()
  expect(await look(epochs, { lastEpoch: 4, ...nothingDone })).toMatchObject(behind)
  expect(await look(epochs, { lastEpoch: 5, ...nothingDone })).not.toHaveProperty('behindSince')
  clock.pass(HOUR_MS)
  const again = { behindSince: isoAt(clock.now()) }
  expect(await look(epochs, { lastEpoch: 4, ...nothingDone })).toMatchObject(again)
})

test('a proposed checkpoint and rounds with two roots are told', async () => {
  const proposal = { epoch: 9, adoptableAt: START_MS / 1_000 }
  const told = { lastEpoch: 5, proposal, poisonedRounds: [3, 7] }
  expect(await look({ newest: 5, inForce: 5 }, told)).toMatchObject({
    ...{ behind: 0, poisonedRounds: [3, 7] },
    proposal: { epoch: 9, adoptableAt: new Date(START_MS).toISOString() },
  })
})
