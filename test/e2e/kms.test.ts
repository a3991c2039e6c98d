import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LocalKms, startLocalKms } from '../../devnet/aws-kms/index.js'
import { type Devnet, startDevnet } from '../../devnet/index.js'
import { reckon } from '../../devnet/reckoning.js'
import type { Finding } from '../../src/ports/finding.js'
import { awsEnv } from '../support/aws-env.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { PATIENCE_MS } from '../support/patience.js'

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url))
const KEYS = [
  ['METER_KEY', 'alias/meter', 'ECC_SECG_P256K1'],
  ['FLARE_GAS_KEY', 'alias/gas', 'ECC_SECG_P256K1'],
  ['FLOW_PRIVATE_KEY', 'alias/flow', 'ECC_NIST_P256'],
] as const

let dir: string
let network: Devnet
let kms: LocalKms
let env: Record<string, string>
let daemon: DaemonProcess | undefined

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'flowmeter-kms-'))
  kms = await startLocalKms()
  network = await startDevnet({ dir, progress: () => {}, calls: 60 })
  env = { ...network.env, ...awsEnv(kms) }
  for (const [setting, alias, spec] of KEYS) {
    const secret = Buffer.from((env[setting] ?? '').replace(/^0x/, ''), 'hex')
    kms.makeKey(spec, alias, secret)
    env[setting] = `aws-kms:${alias}`
  }
})

afterAll(async () => {
  await daemon?.kill9()
  await network?.stop()
  await kms?.stop()
  await rm(dir, { recursive: true, force: true })
})

// Goal: a daemon whose keys are all in AWS KMS charges as one with keys in files does, also when KMS
// says no for a while and the daemon is killed between two signatures. Method: the real daemon on the
// local network, with the same accounts; their keys are in a stand-in of KMS, and nowhere else.
test('usage is charged with no key on this machine', async () => {
  daemon = await DaemonProcess.start(env, dir)
  const alice = network.vaults.find(({ strategy }) => strategy === 'directory')
  await daemon.setDirectory(alice?.user ?? '', alice?.number ?? 0n)
  const { billableRows } = await reckon(network)
  const deadline = performance.now() + PATIENCE_MS
  // What goes wrong at the first signatures, one after the other.
  const troubles = [
    () => restart(),
    () => restart(),
    () => kms.failNext({ code: 'ThrottlingException' }, { code: 'KMSInternalException' }),
    () => kms.failNext('other-key', { code: 'ThrottlingException' }),
  ]
  const restart = async () => {
    await daemon?.kill9()
    daemon = await DaemonProcess.start(env, dir)
  }
  for (let signed = 0; ; await sleep(100)) {
    const status = await daemon.status()
    // On a busy machine there may be several since the last look: one trouble for each.
    const now = kms.calls.filter(({ action }) => action === 'Sign').length
    for (; signed < now; signed += 1) await troubles.shift()?.()
    const isSettled = status?.lastBatch?.state === 'settled'
    if (status?.records.sealed === billableRows && isSettled) break
    expect(performance.now()).toBeLessThan(deadline)
  }
  expect(troubles).toEqual([])
  const status = await daemon.untilChecked()
  const checks = Object.values(status.conservation?.checks ?? {})
  expect(checks.every((value) => value === '0')).toBe(true)
  expect([status.parked, status.refusedEntries]).toEqual([[], 0])
  await daemon.stop()

  const findings = await doctor()
  for (const [check, alias] of [
    ['flare meter key', 'alias/meter'],
    ['flare gas key', 'alias/gas'],
    ['flow key 0', 'alias/flow'],
  ]) {
    const found = findings.find((one) => one.check === check)
    expect(found).toMatchObject({
      verdict: 'ok',
      says: expect.stringContaining(`AWS KMS, ${alias}`),
    })
  }
})

async function doctor(): Promise<readonly Finding[]> {
  const options = { cwd: dir, env: { PATH: process.env.PATH ?? '', ...env } }
  const stdout = await new Promise<string>((done) => {
    execFile(process.execPath, [MAIN, 'doctor', '--json'], options, (_error, said) => done(said))
  })
  return (JSON.parse(stdout) as { readonly findings: readonly Finding[] }).findings
}
