import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startDevnet } from '../dist/devnet/index.js'
import { callAgain } from '../dist/devnet/more-calls.js'
import { freePorts } from '../dist/devnet/ports.js'
import { DEVNET_USERS } from '../dist/devnet/users.js'

// From a sealed batch to its proof in hand, on the local network, in lengths of a voting round. The
// rounds have Flare's shape: requests are collected for a round, chosen from for half of one, then
// signed. When in a round a batch is sealed is chance.

const MAIN = resolve(import.meta.dirname, '../dist/src/main.js')
/** The protocol's own least at worst is 1.5: a whole round, and half of one to choose. */
const P95_ROUNDS_MAX = 2
const POLL_MS = 40
const BATCH_MS_MAX = 120_000
const PROVEN = ['attested', 'accepted', 'settled']

/** @returns in rounds, half and 95 % of the batches took no longer than that */
export async function measureLatency(batches, roundSeconds) {
  const rounds = await measure(batches, roundSeconds)
  const sorted = rounds.map(({ total }) => total).sort((a, b) => a - b)
  const p95Rounds = quantile(sorted, 0.95)
  return {
    ok: p95Rounds <= P95_ROUNDS_MAX,
    batches: sorted.length,
    roundSeconds,
    p50Rounds: quantile(sorted, 0.5),
    p95Rounds,
    maxRounds: round(sorted.at(-1)),
    p95RoundsMax: P95_ROUNDS_MAX,
    meanRounds: Object.fromEntries(
      ['anchored', 'requested', 'finalised', 'attested'].map((state) => [
        state,
        meanOf(rounds, state),
      ]),
    ),
  }
}

async function measure(batches, roundSeconds) {
  const dir = await mkdtemp(join(tmpdir(), 'flowmeter-latency-'))
  const network = await startDevnet({ dir, progress: () => {}, roundSeconds, calls: 60 })
  const [port] = await freePorts(1)
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, ...network.env, HOST: '127.0.0.1', PORT: String(port) }
  const stdio = ['ignore', 'ignore', 'inherit']
  const daemon = spawn(process.execPath, [MAIN, 'start'], { cwd: dir, env, stdio })
  try {
    const seen = []
    for (let n = 0; n < batches; n += 1) {
      if (n > 0) {
        await sleep(Math.random() * roundSeconds * 1000)
        callAgain(
          network.litellm,
          DEVNET_USERS.map(({ user }) => user),
        )
      }
      seen.push(await follow(`http://127.0.0.1:${port}/status`, n + 1, roundSeconds))
    }
    return seen.slice(1) // The first one starts with the daemon, and waits for caches to fill.
  } finally {
    const gone = once(daemon, 'exit')
    daemon.kill('SIGTERM')
    await gone
    await network.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

/** When a batch was first seen in each state, from sealed on, in rounds; until it is settled. */
async function follow(url, seq, roundSeconds) {
  const firstMs = new Map()
  const deadlineMs = performance.now() + BATCH_MS_MAX
  for (;;) {
    const status = await statusOf(url)
    const batch = status?.batches.find((one) => one.seq === String(seq))
    if (batch !== undefined && !firstMs.has(batch.state))
      firstMs.set(batch.state, performance.now())
    if (batch?.state === 'settled') break
    if (performance.now() > deadlineMs) throw new Error(`batch ${seq} is ${batch?.state}`)
    await sleep(POLL_MS)
  }
  const sealedMs = firstMs.get('sealed') ?? Math.min(...firstMs.values())
  const at = (...states) =>
    Math.min(...states.map((s) => firstMs.get(s) ?? Number.POSITIVE_INFINITY))
  const inRounds = (ms) => (ms - sealedMs) / 1000 / roundSeconds
  const attested = inRounds(at(...PROVEN))
  return {
    total: attested,
    anchored: inRounds(at('anchored', 'requested', 'finalised', ...PROVEN)),
    requested: inRounds(at('requested', 'finalised', ...PROVEN)),
    finalised: inRounds(at('finalised', ...PROVEN)),
    attested,
  }
}

async function statusOf(url) {
  try {
    return await (await fetch(url)).json()
  } catch {
    return undefined // It is still starting.
  }
}

function quantile(sorted, share) {
  const at = Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)
  return round(sorted[Math.max(0, at)])
}

function meanOf(seen, state) {
  return round(seen.reduce((sum, one) => sum + one[state], 0) / seen.length)
}

function round(value) {
  return Math.round(value * 100) / 100
}
