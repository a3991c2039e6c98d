import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startGateway } from '../../devnet/gateway/index.js'
import { type Devnet, startDevnet } from '../../devnet/index.js'
import { startLitellm } from '../../devnet/litellm/index.js'
import { reckon } from '../../devnet/reckoning.js'
import { DaemonProcess } from '../support/daemon-process.js'
import { PATIENCE_MS } from '../support/patience.js'

const HOUR_MS = 3_600_000
const EVENT_TOKEN = 'the-token-of-the-ocr-meter'
const HINT_TOKEN = 'the-token-of-the-east-hint'

let dir: string
let network: Devnet
const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'flowmeter-sources-'))
  network = await startDevnet({ dir, progress: () => {}, calls: 60 })
})

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
  await network?.stop()
  await rm(dir, { recursive: true, force: true })
})

// Goal: sources of every kind at once are billed like one. Method: the real daemon beside two LiteLLMs,
// a gateway that sums and a meter that sends, all for one vault; until every record is in a batch
// that is settled, with all checks at 0.
test('two LiteLLMs, a gateway’s sums and a sending meter', async () => {
  const nowMs = Date.now()
  const use = { user: 'vault_7', promptTokens: 500, completionTokens: 80 }
  const east = await startLitellm()
  stops.push(() => east.stop())
  east.insertRows(
    Array.from({ length: 7 }, (_, i) => ({ ...use, startedAtMs: nowMs - (i + 1) * 60_000 })),
  )
  const gateway = await startGateway()
  stops.push(() => gateway.stop())
  gateway.add(['gpt-4o', 'gpt-4'].map((model) => ({ ...use, model, atMs: nowMs - 2 * HOUR_MS })))
  const sources = [
    { kind: 'litellm', name: 'main', apiUrl: network.litellm?.url },
    {
      ...{ kind: 'litellm', name: 'east', apiUrl: east.url, apiKeyEnv: 'EAST_KEY' },
      hintTokenEnv: 'EAST_HINT',
      collectFrom: new Date(nowMs - 5.5 * 60_000).toISOString(), // Five of seven rows.
    },
    {
      ...{ kind: 'grouped-usage', name: 'sums', endpoint: 'analytics', bucket: 'hour' },
      ...{ apiUrl: gateway.url, apiKeyEnv: 'GW_KEY' },
    },
    { kind: 'usage-events', name: 'ocr', tokenEnv: 'OCR_TOKEN' },
  ]
  const path = network.env.FLOWMETER_CONFIG ?? join(dir, 'flowmeter.config.json')
  const settings = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, JSON.stringify({ ...settings, sources }))
  const secrets = { EAST_KEY: east.viewerKey, GW_KEY: gateway.key }
  const tokens = { OCR_TOKEN: EVENT_TOKEN, EAST_HINT: HINT_TOKEN }
  const daemon = await DaemonProcess.start({ ...network.env, ...secrets, ...tokens }, dir)
  stops.push(() => daemon.stop())
  const alice = network.vaults.find(({ strategy }) => strategy === 'directory')
  await daemon.setDirectory(alice?.user ?? '', alice?.number ?? 0n)

  const post = (to: string, token: string, type: string, body: unknown) =>
    fetch(`${daemon.url}${to}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': type },
      body: JSON.stringify(body),
    })
  const event = (id: string) => ({
    ...{ specversion: '1.0', type: 'flowmeter.usage.v1', source: '/ocr', id, subject: use.user },
    time: new Date(nowMs - 60_000).toISOString(),
    data: { model: 'gpt-4o', prompt_tokens: 1_000, completion_tokens: 10 },
  })
  const batch = 'application/cloudevents-batch+json'
  for (const [accepted, duplicates] of [
    [3, 0],
    [0, 3],
  ]) {
    const sent = await post('/v1/usage', EVENT_TOKEN, batch, ['1', '2', '3'].map(event))
    expect([sent.status, await sent.json()]).toEqual([200, { accepted, duplicates }])
  }
  expect((await post('/v1/usage', HINT_TOKEN, batch, [])).status).toBe(401)
  const hint = await post('/v1/hints/east', HINT_TOKEN, 'application/json', [{ id: 'x' }])
  expect(hint.status).toBe(202)

  const { billableRows } = await reckon(network)
  const expected = billableRows + 5 + 2 + 3
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const status = await daemon.status()
    if (status?.records.sealed === expected && status.lastBatch?.state === 'settled') break
    expect(performance.now()).toBeLessThan(deadline)
    await sleep(100)
  }
  const status = await daemon.untilChecked()
  expect(status.sources.map(({ name, problem }) => [name, problem])).toEqual([
    ...['east', 'main', 'ocr', 'sums'].map((name) => [name, undefined]),
  ])
  expect(status.records.sealed).toBe(expected)
  expect(Object.values(status.conservation?.checks ?? {}).every((value) => value === '0')).toBe(
    true,
  )
  expect([status.parked, status.refusedEntries]).toEqual([[], 0])
})
