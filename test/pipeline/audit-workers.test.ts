import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BatchHeader } from '../../src/domain/batch.js'
import { type Hash, keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import { RetryableError } from '../../src/domain/errors.js'
import { batchId, batchSeq } from '../../src/domain/ids.js'
import { metricsOf } from '../../src/http/metrics.js'
import { AUDITED } from '../../src/pipeline/audit.js'
import { auditWorkers } from '../../src/pipeline/audit-workers.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { Worker } from '../../src/runtime/worker.js'
import { settleCorrectedBatches } from '../support/corrected-batches.js'
import { SEPTEMBER_S, usageRecord } from '../support/usage.js'
import { type Daemon, RECEIPT_SECRET, runUntil, World } from '../support/world.js'

const { signal } = new AbortController()
const HOUR_MS = 3_600_000
const MONTH_MS = 30 * 24 * HOUR_MS
const STEPS_MAX = 100

let world: World
let daemon: Daemon
let workers: readonly Worker[]

beforeEach(async () => {
  world = new World()
  daemon = await world.boot()
  start()
})
afterEach(() => world.file.remove())

/** As a process begins: with what the store holds, and nothing else. */
function start(): void {
  const { flare: history, flow: settler, clock } = world
  const parts = { store: daemon.store, history, settler, receiptSecret: RECEIPT_SECRET, clock }
  workers = auditWorkers(parts, 1_000)
}

const courseOf = ({ name }: Worker): string => name.replace('audit/', '')

/** Every worker until it has gone over all that there is, once more. */
async function goRound(some: readonly Worker[] = workers): Promise<void> {
  for (const worker of some) {
    const ended = async () => (await daemon.store.books.lap(courseOf(worker)))?.last?.endedAtMs
    const before = await ended()
    for (let steps = 0; (await ended()) === before; steps += 1) {
      if (steps > STEPS_MAX) throw new Error(`${worker.name} never comes round`)
      world.clock.pass(HOUR_MS)
      await worker.step(signal)
    }
  }
}

const workerOf = (course: string): Worker => {
  const worker = workers.find((one) => courseOf(one) === course)
  if (worker === undefined) throw new Error(`there is no ${course}`)
  return worker
}

const statusNow = () =>
  readStatus({ stores: daemon.store, clock: world.clock, version: '1', identity: {} })

/** What a page of Prometheus shows. */
async function shown(): Promise<string> {
  const metrics = metricsOf(statusNow)
  const text = await metrics.text()
  metrics.end()
  return text
}

function change(sql: string): void {
  const database = new Database(world.file.path)
  database.exec(sql)
  database.close()
}

describe('of two batches with a correction between them', () => {
  beforeEach(async () => {
    await settleCorrectedBatches(world, daemon)
    await daemon.run('reconcile')
  })

  test('all that an audit computes is 0, and says when it was', async () => {
    const before = (await statusNow()).conservation?.checks ?? {}
    // Until it is known it is not said to be 0.
    expect(Object.keys(before)).not.toContain('anchors')
    await goRound()
    const { conservation, alarms } = await statusNow()
    const checks = conservation?.checks ?? {}
    expect(Object.keys(checks).sort()).toEqual(Object.keys(AUDITED).sort())
    expect(Object.entries(checks).filter(([, value]) => value !== '0')).toEqual([])
    expect(alarms.map(({ id }) => id)).not.toContain('check_difference')
    const compared = conservation?.compared ?? {}
    expect(Object.keys(compared).sort()).toEqual([
      ...['accepted_roots', 'anchors', 'manifests', 'operator_log', 'prev_roots'],
      ...['records_vs_entries', 'roots', 'signatures', 'totals_vs_entries'],
    ])
    const text = await shown()
    for (const [check, { endedAt, unknown }] of Object.entries(compared)) {
      const endedS = Date.parse(endedAt ?? '') / 1_000
      expect(text).toContain(`flowmeter_check_ended_timestamp_seconds{check="${check}"} ${endedS}`)
      expect(unknown).toBe('0')
    }
  })

  // Goal: what is changed behind the daemon's back becomes a gauge that is not 0, and an alarm. Method:
  // after the daemon's own comparison, so that nothing but these workers can find it.
  describe('finds', () => {
    test.each([
      ['records_vs_entries', "update usage_records set completion_tokens = 51 where user = '9'"],
      ['records_vs_entries', "update entries set bytes = '0x01' where seq = 1"],
      ['records_vs_entries', "update usage_records set account = '00000000000000000009'"],
      ['records_vs_entries', 'delete from record_moves'],
      ['signatures', `update batches set signature = '0x${'22'.repeat(65)}' where seq = 1`],
      ['signatures', 'update batches set signature = null where seq = 2'],
      ['prev_roots', `update batches set prev_root = '0x${'33'.repeat(32)}' where seq = 2`],
      ['prev_roots', `update batches set prev_root = '0x${'33'.repeat(32)}' where seq = 1`],
      ['anchors', 'update batches set sealed_at = sealed_at + 1 where seq = 1'],
      ['operator_log', "update operator_log set reason = 'none'"],
      ['operator_log', 'delete from operator_log'],
      ['operator_log', `update batches set manifest_json = '{' where seq = 1`],
      ['roots', `update entries set leaf = '0x${'11'.repeat(32)}'`],
      ['manifests', "update batches set manifest_json = '{}' where seq = 1"],
      ['totals_vs_entries', 'update usage_totals set requests = requests + 1'],
    ])('%s: %s', async (check, sql) => {
      await goRound()
      change(sql)
      await goRound()
      await expectFound(check)
    })

    test('accepted_roots: another root on Flow', async () => {
      world.flow.accepted.set(1n, world.flow.identity.target)
      await goRound()
      await expectFound('accepted_roots')
    })

    test('anchors: one more batch of the meter on Flare', async () => {
      const [first] = world.flare.anchors
      if (first === undefined) throw new Error('nothing is anchored')
      const header = { ...first.header, seq: 3n as never }
      world.flare.anchors.push({ ...first, header })
      await goRound()
      await expectFound('anchors')
    })

    test('anchors: a chain that has lost a proven one', async () => {
      world.flare.anchors.pop()
      await goRound()
      await expectFound('anchors')
    })

    async function expectFound(check: string): Promise<void> {
      const { conservation, alarms } = await statusNow()
      expect(conservation?.checks[check]).toMatch(/^[1-9]/)
      expect(alarms.find(({ id }) => id === 'check_difference')?.says).toContain(check)
      const text = await shown()
      expect(text).toMatch(new RegExp(`^flowmeter_check_difference{check="${check}"} [1-9]`, 'm'))
      expect(text).toContain('flowmeter_alarm{alarm="check_difference",severity="page"} 1')
    }
  })

  test('a difference stays until everything was gone over without it', async () => {
    const broken = () => statusNow().then(({ conservation }) => conservation?.checks.prev_roots)
    change(`update batches set prev_root = '0x${'33'.repeat(32)}' where seq = 1`)
    await goRound()
    change(`update batches set prev_root = '${ZERO_HASH}' where seq = 1`)
    expect(await broken()).toBe('1')
    await goRound()
    expect(await broken()).toBe('0')
  })

  // Goal: a chain that is silent is neither equal nor different. Method: it fails before the first lap,
  // and in a later one.
  test('of a chain that cannot be read nothing is said, and its figure grows old', async () => {
    const { sight, meterState } = world.flare
    const { acceptedRoots } = world.flow
    const silent = async () => {
      throw new RetryableError('attestor_unreachable', 'nobody answers')
    }
    const courses = ['anchors', 'accepted_roots']
    const cutOff = async () => {
      world.flare.sight = silent
      world.flare.meterState = silent
      world.flow.acceptedRoots = silent
      for (const course of courses) {
        world.clock.pass(HOUR_MS)
        await expect(workerOf(course).step(signal)).rejects.toThrow(RetryableError)
      }
    }
    await cutOff()
    const unknown = (await statusNow()).conservation
    expect(Object.keys(unknown?.checks ?? {})).not.toContain('anchors')
    expect(Object.keys(unknown?.checks ?? {})).not.toContain('accepted_roots')

    world.flare.sight = sight
    world.flare.meterState = meterState
    world.flow.acceptedRoots = acceptedRoots
    await goRound()
    const known = (await statusNow()).conservation
    await cutOff()
    await goRound([workerOf('batches')])
    const old = await statusNow()
    for (const course of courses) {
      expect(old.conservation?.checks[course]).toBe('0')
      expect(old.conservation?.compared?.[course]?.endedAt).toBe(known?.compared?.[course]?.endedAt)
    }
    expect(old.alarms.map(({ id }) => id)).not.toContain('audit_late')
    world.clock.pass(MONTH_MS)
    await goRound([workerOf('batches')])
    const late = (await statusNow()).alarms.find(({ id }) => id === 'audit_late')
    expect(late?.says).toBe('accepted_roots; anchors')
  })

  test.each(['isLogHidden', 'isLogRefused'] as const)(
    'an event that no node shows is counted as unknown, and stops nothing: %s',
    async (why) => {
      world.flare[why] = true
      await goRound()
      const { conservation } = await statusNow()
      expect(conservation?.checks.anchors).toBe('0')
      expect(conservation?.compared?.anchors?.unknown).toBe('2')
      expect(await shown()).toContain('flowmeter_check_unknown{check="anchors"} 2')
    },
  )
})

// Goal: what pages somebody is never of the moment. Method: everything is gone over after each change of
// a batch, while its anchor moves and vanishes, too.
test('a batch on its way is no difference, whatever its state', async () => {
  world.flow.openVault(7n, SEPTEMBER_S)
  world.tick()
  const expectNone = async () => {
    await goRound()
    for (const worker of workers) {
      const { last } = (await daemon.store.books.lap(courseOf(worker))) ?? {}
      expect(Object.entries(last?.found ?? {}).filter(([, found]) => found !== 0n)).toEqual([])
    }
  }
  await expectNone()
  world.use(usageRecord('one', { user: '7' }))
  await runUntil(world, daemon, 'anchored')
  await expectNone()
  for (const reorganise of ['moveAnchor', 'dropAnchor'] as const) {
    world.flare[reorganise]()
    await expectNone()
    await daemon.run('attest') // Sees that it vanished.
    expect((await daemon.store.batches.last())?.life.state).toBe('sealed')
    await expectNone()
    await runUntil(world, daemon, 'anchored')
    await expectNone()
  }
  for (const state of ['requested', 'finalised', 'attested', 'accepted', 'settled'] as const) {
    await runUntil(world, daemon, state)
    await expectNone()
  }
})

describe('of more than a step looks at', () => {
  const BATCHES = 145
  const header = (seq: bigint): BatchHeader => ({
    seq: batchSeq(seq),
    root: rootOf(seq),
    prevRoot: rootOf(seq - 1n),
    sealedAt: 1_790_283_600,
    target: ZERO_HASH,
    manifest: ZERO_HASH,
  })
  const rootOf = (seq: bigint): Hash => (seq === 0n ? ZERO_HASH : keccak(utf8(`root ${seq}`)))
  const asked: number[] = []

  /** Batches that were anchored, each in its block, and parked. */
  beforeEach(async () => {
    asked.length = 0
    const { acceptedRoots } = world.flow
    world.flow.acceptedRoots = async (seqs) => {
      asked.push(seqs.length)
      return acceptedRoots.call(world.flow, seqs)
    }
    await daemon.store.transaction(async ({ batches }) => {
      for (let seq = 1n; seq <= BATCHES; seq += 1n) {
        await batches.add(header(seq), '', [])
        const anchor = { txHash: ZERO_HASH, blockNumber: Number(seq), logIndex: 0 }
        world.flare.anchors.push({ header: header(seq), anchor })
        const from = { state: 'anchored', anchor, missedRounds: [] } as const
        await batches.saveLife(batchId(seq), { state: 'parked', reason: 'a test', from })
      }
    })
  })

  // Goal: however large the store, a step takes no longer, and no crash makes a lap begin anew. Method:
  // count what each step asks for; end the process in the middle.
  test('each step looks at so many, and a new process goes on where the last one was', async () => {
    const sights: bigint[] = []
    const { sight } = world.flare
    world.flare.sight = async (meter, one, block) => {
      sights.push(one.seq)
      return sight.call(world.flare, meter, one, block)
    }
    await workerOf('anchors').step(signal)
    expect(sights).toHaveLength(5)
    await workerOf('batches').step(signal)
    expect((await daemon.store.books.lap('batches'))?.from).toBe(21n)

    daemon = await world.reboot(daemon)
    start()
    await workerOf('batches').step(signal)
    expect((await daemon.store.books.lap('batches'))?.from).toBe(41n)
    await goRound()
    expect(sights).toEqual(Array.from({ length: BATCHES }, (_, i) => BigInt(i + 1)))
    expect(asked).toEqual([128, 17])
  })

  test('what is found is told before the lap has ended', async () => {
    change(`update batches set prev_root = '0x${'33'.repeat(32)}' where seq = 7`)
    await daemon.run('reconcile')
    await workerOf('batches').step(signal)
    const { conservation } = await statusNow()
    expect(conservation?.checks.prev_roots).toBe('1')
    expect(conservation?.checks.signatures).toBeUndefined()
    expect(conservation?.compared?.prev_roots?.endedAt).toBeUndefined()
  })

  test('the more a step takes, the longer it rests, and the longer a lap, the longer its rest', async () => {
    const TOOK_MS = 2_000
    const { sight } = world.flare
    world.flare.sight = async (meter, one, block) => {
      world.clock.pass(TOOK_MS / 5)
      return sight.call(world.flare, meter, one, block)
    }
    const worker = workerOf('anchors')
    const placeOf = async () => (await daemon.store.books.lap('anchors'))?.from
    await worker.step(signal)
    world.clock.pass(10 * TOOK_MS - 1)
    await worker.step(signal)
    expect(await placeOf()).toBe(6n)
    world.clock.pass(1)
    await worker.step(signal)
    expect(await placeOf()).toBe(11n)
    const startedAtMs = world.clock.now()
    await goRound([worker])
    const { startedAtMs: endedAtMs = 0 } = (await daemon.store.books.lap('anchors')) ?? {}
    expect(endedAtMs - startedAtMs).toBeGreaterThan(HOUR_MS)
    world.clock.pass(HOUR_MS - 1)
    await worker.step(signal)
    expect(await placeOf()).toBe(0n)
    world.clock.pass(1)
    await worker.step(signal)
    expect(await placeOf()).toBe(6n)
    // A clock that is set back does not put it off for ever.
    world.clock.pass(-24 * HOUR_MS)
    await worker.step(signal)
    expect(await placeOf()).toBe(11n)
  })
})
