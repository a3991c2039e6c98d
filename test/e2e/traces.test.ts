import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Devnet, startDevnet } from '../../devnet/index.js'
import type { ReadyReport } from '../../src/http/ready.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { TraceReceiver } from '../support/trace-receiver.js'
import { QUICK } from './engine-world.js'

// Goal: what an operator sees of the real daemon in a trace, and of the daemon while it ends.
// Method: the daemon as a process among real engines, in front of a receiver that speaks OTLP over HTTP.

const POLL_MS = 50
const receiver = new TraceReceiver()
let dir: string
let network: Devnet
let env: Readonly<Record<string, string>>
let daemon: DaemonProcess

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-traces-'))
  network = await startDevnet({ dir, progress: () => {}, calls: 20 })
  const traces = {
    OTEL_EXPORTER_OTLP_ENDPOINT: await receiver.start(),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  }
  env = { ...network.env, ...QUICK, ...traces }
  daemon = await DaemonProcess.start(env, dir)
})

afterAll(async () => {
  await daemon?.kill9()
  await receiver.stop()
  await network?.stop()
  rmSync(dir, { recursive: true, force: true })
})

test('a batch, from its seal to its settlement, with what both chains were asked', async () => {
  const root = await receiver.until(() => receiver.spans().find(({ name }) => name === 'batch'))
  const spans = receiver.spans().filter(({ traceId }) => traceId === root.traceId)
  const status = await daemon.status()
  const [anchored] = (status?.transactions ?? []).filter(({ purpose }) => purpose === 'anchor/1')
  expect(root.attributes).toMatchObject({
    'flowmeter.batch': '1',
    'flowmeter.batch.state': 'settled',
    'flowmeter.batch.root': status?.batches.find(({ seq }) => `${seq}` === '1')?.root,
  })
  expect(spans.find(({ name }) => name === 'sealed')?.attributes).toMatchObject({
    'flowmeter.anchor.tx_id': anchored?.id,
  })
  const names = new Set(spans.map(({ name }) => name))
  for (const name of ['seal', 'anchor', 'attest', 'accept', 'settle', 'attestor', 'settler']) {
    expect(names).toContain(name)
  }
  const polls = receiver.spans().filter(({ name }) => name === 'collect/main')
  const isPoll = (parent: string | undefined) => polls.some(({ spanId }) => spanId === parent)
  const asked = receiver.spans().filter(({ name, parent }) => name === 'source' && isPoll(parent))
  expect(asked.length).toBeGreaterThan(0)
})

async function ready(): Promise<{ status: number; report: ReadyReport }> {
  const answer = await fetch(`${daemon.url}/ready`)
  return { status: answer.status, report: (await answer.json()) as ReadyReport }
}

/** Asks until the answer is this one. */
async function untilReady(status: number): Promise<ReadyReport> {
  for (;;) {
    const seen = await ready()
    if (seen.status === status) return seen.report
    await sleep(POLL_MS)
  }
}

// Goal: whoever balances load sends nobody to a daemon that ends; it ends as told all the same.
// Method: the receiver takes the last spans and does not answer, which holds the end open.
test('while it ends /ready says so, though nothing fails', async () => {
  await untilReady(200)
  receiver.hold()
  await daemon.status() // Something to send.
  process.kill(daemon.pid, 'SIGTERM')
  const { ready: isReady, workers } = await untilReady(503)
  expect(isReady).toBe(false)
  expect(Object.values(workers).filter(({ ok }) => !ok)).toEqual([])
  receiver.release()
  expect(await daemon.exited).toBe(0)
})

test('a receiver that never answers does not change how it ends', async () => {
  daemon = await DaemonProcess.start(env, dir)
  receiver.hold()
  await daemon.status() // Something to send.
  process.kill(daemon.pid, 'SIGTERM')
  // After its 20 s it would end itself with 1.
  expect(await daemon.exited).toBe(0)
})
