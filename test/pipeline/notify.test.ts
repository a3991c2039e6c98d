import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { createNotifiers } from '../../src/notifiers/index.js'
import type { Alarm, AlarmId } from '../../src/pipeline/alarms.js'
import { noticeStatus } from '../../src/pipeline/notice-status.js'
import {
  MESSAGE_EVERY_MS,
  notifyNext,
  resendMessages,
  TRIES_MAX,
} from '../../src/pipeline/notify.js'
import type { Notifier } from '../../src/ports/notifier.js'
import type { Store } from '../../src/ports/stores.js'
import { CrashPlan } from '../support/crash-plan.js'
import { ALICE, BOB, newKey } from '../support/keys.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { TestReceiver } from '../support/test-receiver.js'

// Goal: each alarm is told once and its end once, whatever the receiver does and however often we die.
// Method: the real step, store and notifier; a real receiver that misbehaves; a clock that is driven.

const MINUTE_MS = 60_000
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const { signal } = new AbortController()

let clock: ManualClock
let file: StoreFile
let store: Store
let receiver: TestReceiver
let url: string
let notifiers: readonly Notifier[]
let raised: Alarm[]

beforeEach(async () => {
  clock = new ManualClock(Date.parse('2026-11-29T12:00:00Z'))
  file = new StoreFile(clock)
  store = await file.open()
  receiver = new TestReceiver()
  url = await receiver.start()
  const place = { urlEnv: 'URL', minSeverity: 'warning' } as const
  notifiers = await createNotifiers(
    [{ kind: 'webhook', name: 'hook', secretEnv: 'SECRET', ...place }],
    (variable) => (variable === 'URL' ? url : SECRET),
    () => clock.now(),
  )
  raised = []
})
afterEach(async () => {
  await receiver.stop()
  await file.remove()
})

function alarm(id: AlarmId, severity: Alarm['severity'] = 'warning'): Alarm {
  return { id, severity, says: `${id} says so`, runbook: `docs/runbooks/${id}.md` }
}

const step = (stores = store) =>
  notifyNext({ store: stores, notifiers, alarms: async () => raised, clock }, signal)

/** Time goes by, with a look at the alarms every so often. */
async function pass(minutes: number, everyMs = 15_000): Promise<void> {
  for (let ms = 0; ms < minutes * MINUTE_MS; ms += everyMs) {
    await step()
    clock.pass(everyMs)
  }
}

/** Three minutes in which the process dies at one of its calls of the store. False: it made fewer calls. */
async function passDyingAt(point: number): Promise<boolean> {
  const plan = new CrashPlan(point)
  let isCrashed = false
  for (let look = 0; look < 12; look += 1) {
    try {
      await step(isCrashed ? store : plan.watch(store))
    } catch (error) {
      if (isCrashed) throw error
      isCrashed = true
      await file.close(store)
      store = await file.open()
    }
    clock.pass(15_000)
  }
  return isCrashed
}

interface Sent {
  readonly data: {
    readonly alarms: readonly {
      readonly alarm: string
      readonly change: string
      readonly says?: string
    }[]
  }
}
/** What was told, message by message: `wallet_low raised`. */
const told = (): string[][] =>
  receiver.received.map(({ body }) =>
    (JSON.parse(body) as Sent).data.alarms.map((one) => `${one.alarm} ${one.change}`),
  )
const ids = () => receiver.received.map(({ headers }) => headers['webhook-id'])

test('an alarm is told once when it has lasted, and its end once', async () => {
  raised = [alarm('wallet_low')]
  await pass(30)
  expect(told()).toEqual([['wallet_low raised']])
  raised = []
  await pass(30)
  expect(told()).toEqual([['wallet_low raised'], ['wallet_low cleared']])
})

test('what passes within a minute is told to nobody', async () => {
  raised = [alarm('wallet_low')]
  await pass(0.75)
  raised = []
  await pass(30)
  expect(told()).toEqual([])
})

test('a storm is one message, what is worst first', async () => {
  raised = [alarm('wallet_low'), alarm('disk_low'), alarm('batch_parked', 'page')]
  await pass(5)
  expect(told()).toHaveLength(1)
  expect(told()[0]?.[0]).toBe('batch_parked raised')
  expect(told()[0]).toHaveLength(3)
})

test('alarms that come one after the other are at most a message a minute', async () => {
  const all: AlarmId[] = ['wallet_low', 'disk_low', 'clock_skew', 'rows_held', 'rows_rejected']
  for (const id of all) {
    raised = [...raised, alarm(id)]
    await pass(0.25)
  }
  await pass(5)
  expect(told().flat()).toHaveLength(all.length)
  expect(told().length).toBeLessThanOrEqual(3)
  const times = receiver.received.map(({ headers }) => Number(headers['webhook-timestamp']))
  for (const [i, at] of times.entries()) {
    if (i > 0) expect(at - (times[i - 1] ?? 0)).toBeGreaterThanOrEqual(MESSAGE_EVERY_MS / 1_000)
  }
})

test('one that comes and goes is told rarely, and ever more rarely', async () => {
  for (let hour = 0; hour < 6 * 4; hour += 1) {
    raised = [alarm('wallet_low')]
    await pass(8, 30_000)
    raised = []
    await pass(7, 30_000)
  }
  // 24 times up and down: told as a few episodes.
  expect(told().flat().length).toBeLessThanOrEqual(8)
  expect(told().flat()[0]).toBe('wallet_low raised')
})

test('what is less severe than a target wants is not told there', async () => {
  raised = [alarm('corrections_pending', 'info')]
  await pass(5)
  expect(told()).toEqual([])
})

describe('whose keys are blocked', () => {
  const dry = { account: ALICE, key: undefined, reason: 'balance', untilMs: undefined } as const
  const says = (): string[] =>
    receiver.received.flatMap(({ body }) =>
      (JSON.parse(body) as Sent).data.alarms.map((one) => one.says ?? ''),
    )

  test('is told by account and reason, once when it begins and once when it ends', async () => {
    await store.holds.place({ ...dry, text: '0.04 USD are left' })
    await store.holds.place({ ...dry, account: BOB, reason: 'budget', text: 'used up' })
    await pass(10)
    await store.holds.place({ ...dry, text: '0.03 USD are left' })
    await file.close(store)
    store = await file.open()
    await pass(10)
    expect(says()).toEqual([
      'account 7 is blocked for balance: 0.04 USD are left',
      'account 8 is blocked for budget: used up',
    ])
    await store.holds.lift(ALICE, 'balance')
    await pass(10)
    expect(says().slice(2)).toEqual(['account 7 is no longer blocked for balance'])
    expect(told().flat()).toEqual([
      'keys_blocked blocked',
      'keys_blocked blocked',
      'keys_blocked unblocked',
    ])
    const [first] = (JSON.parse(receiver.received[0]?.body ?? '') as Sent).data.alarms
    expect(first).toMatchObject({ account: '7', reason: 'balance', others: [] })
  })

  test('says what blocks besides; what ends by itself is told to those who want to know it', async () => {
    await store.keys.add(newKey('laptop'))
    const { id: key } = newKey('laptop')
    await store.holds.place({ ...dry, reason: 'quota', key, text: 'used up' })
    await store.holds.place({ ...dry, text: 'dry' })
    await store.holds.lift(ALICE, 'quota', key)
    await pass(2)
    expect(says()).toEqual(['account 7 is blocked for balance: dry'])
    notifiers = await createNotifiers(
      [{ kind: 'webhook', name: 'all', secretEnv: 'SECRET', urlEnv: 'URL', minSeverity: 'info' }],
      (variable) => (variable === 'URL' ? url : SECRET),
      () => clock.now(),
    )
    await store.holds.place({ ...dry, reason: 'quota', key, text: 'used up' })
    await store.holds.lift(ALICE, 'quota', key)
    await pass(2)
    expect(says().slice(1)).toEqual([
      'key fm-7-laptop of account 7 is blocked for quota: used up',
      'key fm-7-laptop of account 7 is no longer blocked for quota; it still is for balance',
    ])
  })

  test('is not told of a key that is deleted, nor again after it', async () => {
    await store.keys.add(newKey('laptop'))
    const { id: key } = newKey('laptop')
    await store.holds.place({ ...dry, key, text: 'dry' })
    await store.holds.lift(ALICE, 'balance', key)
    await store.keys.change(key, { state: 'deleted' })
    await pass(5)
    expect(says()).toEqual([])
    expect(await store.holds.changes(9)).toEqual([])
  })

  // Every call of the store dies once, before or after it did its work; then a new process goes on.
  test('is told however often we die, and twice only as the same message', async () => {
    for (let point = 0; ; point += 1) {
      await store.holds.place({ ...dry, text: `time ${point}` })
      const isCrashed = await passDyingAt(point)
      const ours = receiver.received.filter(({ body }) => body.includes(`time ${point}"`))
      expect(new Set(ours.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
      await store.holds.lift(ALICE, 'balance')
      await pass(3)
      if (!isCrashed) return expect(point).toBeGreaterThan(5)
    }
  })
})

describe('a receiver that', () => {
  beforeEach(() => {
    raised = [alarm('wallet_low')]
  })

  test('fails gets the same message with the same id, until it takes it', async () => {
    receiver.answers.push({ status: 500 }, 'drop', { status: 503 })
    await pass(10)
    expect(told()).toEqual(Array.from({ length: 4 }, () => ['wallet_low raised']))
    expect(new Set(ids()).size).toBe(1)
    expect((await store.notices.newest(1))[0]).toMatchObject({ state: 'sent', tries: 4 })
  })

  test('asks to be left alone is', async () => {
    receiver.answers.push({ status: 429, headers: { 'retry-after': '600' } })
    await pass(10)
    expect(told()).toHaveLength(1)
    await pass(3)
    expect(told()).toHaveLength(2)
  })

  test('never takes it is given up, which is an alarm; resent, it is the same message', async () => {
    receiver.answers.push(...Array.from({ length: TRIES_MAX }, () => ({ status: 500 })))
    await pass(10 * 60, 60_000)
    expect(told()).toHaveLength(TRIES_MAX)
    expect(await noticeStatus(store.notices, clock.now())).toMatchObject({ due: 0, dead: 1 })
    expect((await store.notices.newest(1))[0]).toMatchObject({
      state: 'dead',
      problem: 'answered 500',
    })
    const [id = ''] = await resendMessages(store, 'dead', clock.now())
    await step()
    expect(ids().at(-1)).toBe(id)
    expect(new Set(ids()).size).toBe(1)
    expect(await noticeStatus(store.notices, clock.now())).toEqual({ due: 0, dead: 0 })
    expect(await resendMessages(store, 'dead', clock.now())).toEqual([])
  })

  test('wants no more is given up at once', async () => {
    receiver.answers.push({ status: 410 })
    await pass(10)
    expect(told()).toHaveLength(1)
    expect((await store.notices.newest(1))[0]).toMatchObject({ state: 'dead', tries: 1 })
  })

  test('is not in the settings any more keeps nothing waiting', async () => {
    receiver.answers.push({ status: 500 })
    await pass(1.25)
    notifiers = []
    await pass(5)
    expect((await store.notices.newest(1))[0]).toMatchObject({ state: 'dead' })
  })
})

test('alarms do not wait behind what single accounts are told', async () => {
  for (let i = 1n; i <= 600n; i += 1n) {
    const hold = { reason: 'budget', text: 'used up', key: undefined, untilMs: undefined } as const
    await store.holds.place({ account: accountNumber(i), ...hold })
  }
  raised = [alarm('wallet_low')]
  await pass(3)
  expect(told().flat()).toContain('wallet_low raised')
  expect(told().flat().length).toBeLessThan(600)
})

test('a restart tells nothing again', async () => {
  raised = [alarm('wallet_low')]
  await pass(5)
  await file.close(store)
  store = await file.open()
  await pass(5)
  expect(told()).toEqual([['wallet_low raised']])
})

// Every call of the store dies once, before or after it did its work; then a new process goes on.
test('a crash at any point loses nothing, and repeats at most the same message', async () => {
  for (let point = 0; ; point += 1) {
    raised = [alarm('wallet_low')]
    const before = receiver.received.length
    const isCrashed = await passDyingAt(point)
    const own = receiver.received.slice(before)
    expect(new Set(own.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(own.length).toBeLessThanOrEqual(2)
    expect(await noticeStatus(store.notices, clock.now())).toEqual({ due: 0, dead: 0 })
    if (!isCrashed) return expect(point).toBeGreaterThan(5)
    // The next point begins anew.
    raised = []
    await pass(200, 1_200_000)
  }
})
