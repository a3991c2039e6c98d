import { Random } from '../../../devnet/litellm/random.js'
import type { UsageRecord } from '../../../src/domain/usage-record.js'
import { type ChargeBounds, NO_BOUNDS } from '../../../src/pipeline/bounds.js'
import type { Row } from './models/litellm.js'
import { TROUBLES, type TroubleName } from './trouble.js'
import type { WireFaults } from './wire.js'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const WAD = 10n ** 18n

/** A Sunday night: day, week and month all end at once. */
const MIDNIGHT_MS = Date.UTC(2027, 1, 1)

export const USERS = ['7', 'vault_9', 'alice', 'bob', '11', 'nobody'] as const
const MODELS = ['gpt-4-turbo', 'gpt-3.5-turbo', 'claude-3-opus-20240229', 'llama-3', 'gpt-4']

const FIRST_SOURCE = 'main'
const SECOND_SOURCE = 'second'

/** All that will happen, but for what the order of calls decides: made from a seed alone. */
export interface Schedule {
  readonly seed: number
  readonly startMs: number
  /** Nothing goes wrong any more from then on. */
  readonly calmAtMs: number
  /** Of all sources. The same call may be in both, and is one call. */
  readonly rows: readonly Row[]
  readonly sources: readonly string[]
  readonly settings: {
    /** Of workers that find nothing to do: longer than the daemon's own, in the same order of things. */
    readonly idleMs: number
    readonly overlapMs: number
    readonly rescanMs: number
    readonly sealIntervalMs: number
    readonly entriesMax: number
    readonly rowsMax: number
    readonly exposure: bigint | undefined
    readonly bounds: ChargeBounds
  }
  readonly network: {
    readonly roundsPerEpoch: number
    readonly epochsKept: number
    readonly rootsHeld: bigint
    readonly computationMax: number
    /** Seconds until the next meter is active. */
    readonly meterDelay: number
    readonly lateStarts: ReadonlyMap<number, number>
    /** Proposal keys of ours on Flow. */
    readonly flowKeys: number
  }
  readonly wires: Readonly<Record<'source' | 'other' | 'evm' | 'da' | 'flow', WireFaults>>
  /** What may go wrong in this schedule: not everything at once, or much would hide much else. */
  readonly troubles: readonly TroubleName[]
  /** Share of the moves of time that bring one. */
  readonly troubleShare: number
  /** When the store is copied, and when it is lost and the copy takes its place; mostly never. */
  readonly restore: { readonly copiedAtMs: number; readonly lostAtMs: number } | undefined
  /** How far a process gets, in points, each time one starts; then the last stays. */
  readonly crashes: readonly number[]
}

export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed)
  const startMs = MIDNIGHT_MS - random.whole(8, 30) * MINUTE
  const calmAtMs = startMs + random.whole(35, 60) * MINUTE
  const overlapMs = random.pick([2 * MINUTE, 10 * MINUTE])
  const rows = rowsOf(startMs, calmAtMs, overlapMs, random)
  const isOneSource = random.next() < 0.6
  return {
    seed,
    startMs,
    calmAtMs,
    rows: isOneSource ? rows : rows.flatMap((row) => inBoth(row, overlapMs, random)),
    sources: isOneSource ? [FIRST_SOURCE] : [FIRST_SOURCE, SECOND_SOURCE],
    settings: {
      idleMs: random.pick([1, 2, 4]) * MINUTE,
      overlapMs,
      rescanMs: random.pick([0, 0, 6 * HOUR]),
      sealIntervalMs: random.pick([1, 3, 10]) * MINUTE,
      entriesMax: random.pick([1, 2, 100]),
      rowsMax: random.pick([3, 10, 100]),
      exposure: random.next() < 0.3 ? WAD : undefined,
      bounds: boundsOf(random),
    },
    network: networkOf(startMs, random),
    wires: {
      source: wireOf(random),
      other: wireOf(random),
      evm: wireOf(random, 3),
      da: wireOf(random),
      flow: wireOf(random, random.pick([20, 60, 150])),
    },
    troubles: TROUBLES.filter(() => random.next() < 0.6),
    troubleShare: random.pick([0, 0.2, 0.5, 0.9]),
    restore: restoreOf(startMs, calmAtMs, random),
    crashes: Array.from({ length: random.whole(0, 7) }, () => random.whole(0, 450)),
  }
}

function restoreOf(startMs: number, calmAtMs: number, random: Random): Schedule['restore'] {
  if (random.next() < 0.8) return undefined
  const copiedAtMs = startMs + random.whole(5, 20) * MINUTE
  return { copiedAtMs, lostAtMs: random.whole(copiedAtMs, calmAtMs) }
}

function boundsOf(random: Random): ChargeBounds {
  if (random.next() < 0.5) return NO_BOUNDS
  return {
    ...(random.next() < 0.7 ? { multiple: random.pick([1n, 3n]) } : {}),
    above: random.pick([0n, WAD / 2n]),
    ...(random.next() < 0.5 ? { dayLimit: random.pick([3n, 10n]) * WAD } : {}),
  }
}

function networkOf(startMs: number, random: Random): Schedule['network'] {
  const roundsPerEpoch = random.pick([8, 20, 40])
  const epoch = Math.floor(startMs / 90_000 / roundsPerEpoch)
  const lateStarts = new Map<number, number>()
  for (let ahead = 1; ahead < 40; ahead += 1) {
    if (random.next() < 0.2) lateStarts.set(epoch + ahead, random.whole(1, 3))
  }
  return {
    roundsPerEpoch,
    epochsKept: random.pick([3, 4, 8]),
    rootsHeld: random.pick([1n, 2n, 256n]),
    computationMax: random.pick([1, 2, 1_000]),
    lateStarts,
    flowKeys: random.pick([1, 1, 2, 3]),
    meterDelay: random.pick([0, 60, 1_800]),
  }
}

function wireOf(random: Random, lagMax = 0): WireFaults {
  if (random.next() < 0.3) return { refused: 0, lost: 0, stale: 0, lagMax }
  const share = (most: number) => random.next() * most
  return { refused: share(0.08), lost: share(0.08), stale: lagMax > 0 ? share(0.25) : 0, lagMax }
}

/** Calls from before the start until calm, in bursts; late by less than the overlap. */
function rowsOf(startMs: number, calmAtMs: number, lateMaxMs: number, random: Random): Row[] {
  const rows: Row[] = []
  for (let calls = random.whole(3, 14); calls > 0; calls -= 1) {
    const atMs = startMs + random.whole(-5 * MINUTE, calmAtMs - startMs)
    for (let burst = random.pick([1, 1, 1, 2, 5]); burst > 0; burst -= 1) {
      rows.push(rowOf(rows.length, atMs + random.whole(0, 3) * 500, lateMaxMs, random))
    }
  }
  return rows
}

function rowOf(number: number, startedAtMs: number, lateMaxMs: number, random: Random): Row {
  const odd = random.next()
  const user = random.pick(USERS)
  const promptTokens = random.whole(0, 60_000)
  const record: UsageRecord = {
    key: { source: FIRST_SOURCE, requestId: `call-${number}` },
    startedAtMs,
    endedAtMs: startedAtMs + 900,
    payers: { user, api_key: `key of ${user}`, team_id: '', end_user: '' },
    model: random.pick(MODELS),
    promptTokens: BigInt(promptTokens),
    cachedPromptTokens: BigInt(random.whole(0, promptTokens)),
    completionTokens: BigInt(random.whole(0, 9_000)),
    ...(odd < 0.08 ? { excluded: 'failure' } : {}),
    spend: '0.01',
  }
  const lateMs = random.next() < 0.7 ? random.whole(0, 8_000) : random.whole(0, lateMaxMs)
  const reject = odd > 0.95 ? { reject: 'unreadable' } : {}
  return { record, visibleAtMs: startedAtMs + lateMs, ...reject }
}

/** In the one or the other, or in both: then mostly the same call, seen at other times. */
function inBoth(row: Row, lateMaxMs: number, random: Random): Row[] {
  const where = random.next()
  if (where < 0.4) return [row]
  const { record, visibleAtMs } = row
  const key = { ...record.key, source: SECOND_SOURCE }
  if (where < 0.6) return [{ ...row, record: { ...record, key } }]
  const lateMs = random.next() < 0.5 ? visibleAtMs - record.startedAtMs : random.whole(0, lateMaxMs)
  // Another call under the same id counts for itself.
  const more = random.next() < 0.1 ? 1n : 0n
  const promptTokens = record.promptTokens + more
  return [
    row,
    { ...row, record: { ...record, key, promptTokens }, visibleAtMs: record.startedAtMs + lateMs },
  ]
}
