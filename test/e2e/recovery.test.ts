import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Devnet, startDevnet } from '../../devnet/index.js'
import { callAgain } from '../../devnet/more-calls.js'
import { reckon } from '../../devnet/reckoning.js'
import { DEVNET_USERS } from '../../devnet/users.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { PATIENCE_MS } from '../support/patience.js'
import { QUICK } from './engine-world.js'

const MAIN = resolve(import.meta.dirname, '../../dist/src/main.js')
const POLL_MS = 100

let dir: string
let network: Devnet
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-recovery-'))
  network = await startDevnet({ dir, progress: () => {}, calls: 40, roundSeconds: 2 })
  env = { ...network.env, ...QUICK }
})

afterAll(async () => {
  await network?.stop()
  rmSync(dir, { recursive: true, force: true })
})

/** A command of the built program, as an operator types it. */
function run(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { PATH = '', HOME = '' } = process.env
  const whole = { PATH, HOME, ...env, HOST: '127.0.0.1', PORT: '0' }
  return new Promise((done) => {
    const options = { cwd: dir, env: whole, timeout: PATIENCE_MS }
    execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1
      done({ code, stdout, stderr })
    })
  })
}

function useMore(): void {
  if (network.litellm === undefined) throw new Error('there is no LiteLLM')
  callAgain(
    network.litellm,
    DEVNET_USERS.map(({ user }) => user),
  )
}

/** Everything that LiteLLM has logged is charged. */
async function untilSettled(daemon: DaemonProcess): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const status = await daemon.status()
    const { billableRows } = await reckon(network)
    const isDone = (status?.batches ?? []).every(({ state }) =>
      ['settled', 'superseded'].includes(state),
    )
    if (isDone && status?.records.sealed === billableRows) return
    if (performance.now() > deadline) throw new Error(`not settled: ${JSON.stringify(status)}`)
    await sleep(POLL_MS)
  }
}

// Goal: yesterday's backup is enough to go on from: nothing is charged twice, and no row is lost.
// Method: copy the store of a running daemon, let it settle more, put the copy in its place, and
// compare the bills on Flow with LiteLLM's rows after a start that stops, an adoption, and more usage.
test('a store restored from a backup stops, adopts, and goes on to the unit', async () => {
  const { DATABASE_URL = '', LOG_FILE = '' } = env
  const store = DATABASE_URL.slice('sqlite:'.length)
  const copy = join(dir, 'backup.sqlite')
  const directory = network.vaults.find(({ strategy }) => strategy === 'directory')
  let daemon = await DaemonProcess.start(env, dir)
  await daemon.setDirectory(directory?.user ?? '', directory?.number ?? 0n)
  await untilSettled(daemon)
  expect(await run('backup', copy)).toMatchObject({ code: 0 })
  expect(await run('backup', copy)).toMatchObject({ code: 78 })

  useMore()
  await untilSettled(daemon)
  useMore()
  await daemon.kill9()
  for (const rest of ['', '-wal', '-shm']) rmSync(`${store}${rest}`, { force: true })
  copyFileSync(copy, store)
  expect((await run('start')).code).toBe(78)
  expect(readFileSync(LOG_FILE, 'utf8')).toContain('flowmeter adopt')

  const adopted = await run('adopt', '--reason', 'the disk was lost', '--json')
  expect(adopted).toMatchObject({ code: 0 })
  expect(JSON.parse(adopted.stdout)).toMatchObject({ batches: expect.any(Number) })
  daemon = await DaemonProcess.start(env, dir)
  await untilSettled(daemon)
  await daemon.untilChecked()

  const audited = await run('audit', '--json')
  expect(audited).toMatchObject({ code: 0 })
  const { ok, checks } = JSON.parse(audited.stdout)
  expect([ok, Object.values(checks).every((difference) => difference === '0')]).toEqual([
    true,
    true,
  ])
  await daemon.stop()
  const reckoned = await reckon(network)
  for (const { charged, expected } of reckoned.vaults) expect(charged).toBe(expected)
  expect(Object.values(reckoned.checks).every((difference) => difference === 0n)).toBe(true)
  expect((await run('log', '--verify')).code).toBe(0)
})
