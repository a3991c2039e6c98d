import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '../../devnet/fault-proxy.js'
import { type Devnet, startDevnet } from '../../devnet/index.js'
import { callAgain } from '../../devnet/more-calls.js'
import { reckon } from '../../devnet/reckoning.js'
import { DEVNET_USERS } from '../../devnet/users.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { PATIENCE_MS } from '../support/patience.js'
import { QUICK } from './engine-world.js'

const STATES = ['sealed', 'anchored', 'requested', 'finalised', 'attested', 'accepted', 'settled']

let dir: string
let network: Devnet
let da: FaultProxy

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'flowmeter-crash-'))
  network = await startDevnet({ dir, progress: () => {}, calls: 120, roundSeconds: 2 })
  da = await startFaultProxy(network.flare.daUrl)
})

afterAll(async () => {
  await da?.stop()
  await network?.stop()
  await rm(dir, { recursive: true, force: true })
})

// Goal: a daemon that dies anywhere loses nothing and does nothing twice.
// Method: kill -9 the real process at the first sight of each state of a batch, start it again on the
// same store, and compare the bills on Flow with those of LiteLLM's rows.
test('kill -9 at every state of a batch changes no bill', async () => {
  const directory = network.vaults.find(({ strategy }) => strategy === 'directory')
  const env = { ...network.env, ...QUICK, FLARE_DA_URL: da.url }
  let daemon = await DaemonProcess.start(env, dir)
  await daemon.setDirectory(directory?.user ?? '', directory?.number ?? 0n)
  const killed = new Set<string>()
  // A batch is finalised only until its proof has come: that waits until it was seen.
  let isSeen = (): void => {}
  const until = new Promise<void>((resolve) => {
    isSeen = resolve
  })
  da.faultOf = () => (killed.has('finalised') ? undefined : { kind: 'held', until })
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    const status = await daemon.status()
    const state = status?.lastBatch?.state
    if (state !== undefined && STATES.includes(state) && !killed.has(state)) {
      killed.add(state)
      if (state === 'finalised') isSeen()
      await daemon.kill9()
      daemon = await DaemonProcess.start(env, dir)
      continue
    }
    // A reckoning takes longer than some of the states last.
    const isSettled =
      state === 'settled' && status?.records.sealed === (await reckon(network)).billableRows
    if (isSettled && killed.size === STATES.length) break
    if (isSettled && network.litellm !== undefined) {
      callAgain(
        network.litellm,
        DEVNET_USERS.map(({ user }) => user),
      )
    }
    await sleep(10)
  }
  expect([...killed].sort()).toEqual([...STATES].sort())
  const status = await daemon.untilChecked()
  await daemon.stop()

  const reckoned = await reckon(network)
  for (const { charged, expected } of reckoned.vaults) expect(charged).toBe(expected)
  expect(Object.values(reckoned.checks).every((value) => value === 0n)).toBe(true)
  expect(Object.values(status.conservation?.checks ?? {}).every((value) => value === '0')).toBe(
    true,
  )
  expect(status.records.sealed).toBe(reckoned.billableRows)
  expect(status.parked).toEqual([])
  expect(status.refusedEntries).toBe(0)
})
