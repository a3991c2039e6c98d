import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import { batchId, type Purpose, purpose } from '../../src/domain/ids.js'
import { closeLane, type Delivery, deliver } from '../../src/pipeline/deliver.js'
import type { Store } from '../../src/ports/stores.js'
import { CrashPlan } from '../support/crash-plan.js'
import { ManualClock } from '../support/manual-clock.js'
import { StoreFile } from '../support/store-file.js'
import { TestLane } from '../support/test-lane.js'

const { signal } = new AbortController()
const anchor = purpose.anchor(batchId(1n))
const request = purpose.request(batchId(1n), 0)

let file: StoreFile
let store: Store
let lane: TestLane
/** What was done on the chain. */
let done: unknown[]
let refusal: string | undefined

beforeEach(async () => {
  file = new StoreFile(new ManualClock(0))
  store = await file.open()
  done = []
  refusal = undefined
  lane = new TestLane('chain', (body) => {
    if (refusal === undefined) done.push(body)
    return refusal
  })
})
afterEach(() => file.remove())

const send = (name: Purpose, body: unknown = name): Promise<Delivery> =>
  deliver(name, () => ({ what: 'a call', body }), { lanes: [lane], outbox: store.outbox }, signal)

describe('one purpose', () => {
  test('is signed once, sent until it lands, and told once that it has', async () => {
    expect([await send(anchor), await send(anchor)]).toEqual(['on-its-way', 'on-its-way'])
    expect([done.length, lane.poolSize]).toEqual([0, 1])
    lane.mine()
    expect(await send(anchor)).toBe('landed')
    expect(done).toEqual([anchor])
    expect(await store.outbox.openOn(lane.name)).toBeUndefined()
  })

  test('is sent again when the pool has lost it: the same bytes', async () => {
    await send(anchor)
    lane.forget()
    await send(anchor)
    lane.mine()
    expect(done).toEqual([anchor])
    expect(await store.outbox.newest(5)).toHaveLength(1)
  })

  test('is signed anew at once when it can land no more', async () => {
    await send(anchor, 'first')
    lane.overtake()
    expect(await send(anchor, 'second')).toBe('on-its-way')
    lane.mine()
    expect(await send(anchor)).toBe('landed')
    expect(done).toEqual(['second'])
  })

  test('is told when it was refused, and signed anew by the next call', async () => {
    await send(anchor)
    refusal = 'no'
    lane.mine()
    expect(await send(anchor)).toBe('refused')
    refusal = undefined
    expect(await send(anchor)).toBe('on-its-way')
    lane.mine()
    expect(await send(anchor)).toBe('landed')
    expect(done).toEqual([anchor])
  })

  test('makes its call only when it is signed', async () => {
    let calls = 0
    const makeCall = async () => {
      calls += 1
      return { what: 'a call', body: calls }
    }
    const way = { lanes: [lane], outbox: store.outbox }
    await deliver(anchor, makeCall, way, signal)
    await deliver(anchor, makeCall, way, signal)
    expect(calls).toBe(1)
  })

  test('is kept when the chain cannot be asked', async () => {
    await send(anchor)
    lane.isUnreachable = true
    await expect(send(anchor)).rejects.toBeInstanceOf(RetryableError)
    lane.isUnreachable = false
    lane.mine()
    expect(await send(anchor)).toBe('landed')
  })
})

describe('two purposes on one lane', () => {
  test('go one after the other: the open one first, to its end', async () => {
    await send(anchor)
    expect(await send(request)).toBe('on-its-way')
    expect(await store.outbox.openOn(lane.name)).toMatchObject({ purpose: anchor })
    lane.mine()
    expect(await send(request)).toBe('on-its-way')
    lane.mine()
    expect(await send(request)).toBe('landed')
    expect(done).toEqual([anchor, request])
  })

  test.each(['refused', 'gone'] as const)('a %s one makes room for the other', async (fate) => {
    await send(anchor)
    if (fate === 'gone') lane.overtake()
    refusal = 'no'
    lane.mine()
    refusal = undefined
    await send(request)
    expect(await store.outbox.openOn(lane.name)).toMatchObject({ purpose: request })
  })

  // Goal: two steps that meet on a lane send one transaction, not two under one number.
  // Method: both ask at once; each has seen the lane free before the other saved.
  test('that ask at once send one of the two', async () => {
    await Promise.all([send(anchor), send(request)])
    expect(await store.outbox.newest(5)).toHaveLength(1)
    for (let blocks = 0; blocks < 3; blocks += 1) {
      lane.mine()
      await send(blocks === 0 ? anchor : request)
    }
    expect(done.filter((body) => body === anchor).length).toBeLessThanOrEqual(1)
    expect(await store.outbox.openOn('another lane')).toBeUndefined()
  })

  test('on two lanes do not wait for each other', async () => {
    const other = new TestLane('other chain', (body) => void done.push(body))
    await send(anchor)
    const way = { lanes: [other], outbox: store.outbox }
    await deliver(request, () => ({ what: 'a call', body: request }), way, signal)
    other.mine()
    lane.mine()
    expect(done).toEqual([request, anchor])
  })
})

describe('closing a lane', () => {
  test('writes down what landed or is gone, and leaves what is open', async () => {
    await closeLane(lane, store.outbox, signal)
    await send(anchor)
    await closeLane(lane, store.outbox, signal)
    expect(await store.outbox.openOn(lane.name)).toBeDefined()
    lane.mine()
    await closeLane(lane, store.outbox, signal)
    expect(await store.outbox.openOn(lane.name)).toBeUndefined()
    expect((await store.outbox.newest(1)).map(({ fate }) => fate)).toEqual(['landed'])
  })

  // Only the step that sent it knows what a refusal means. Were it closed here, the step would sign
  // the same call again and again, and pay for each.
  test('leaves a refusal to the step whose it is', async () => {
    await send(anchor)
    refusal = 'no'
    lane.mine()
    await closeLane(lane, store.outbox, signal)
    expect(await send(anchor)).toBe('refused')
  })
})

// Goal: whatever dies when, one transaction does the work. Method: end the process at each of the
// points of two deliveries, then deliver again until it has landed.
test('a crash at any point does it once', async () => {
  for (let point = 0; ; point += 1) {
    const plan = new CrashPlan(point)
    const name = purpose.anchor(batchId(BigInt(point + 1)))
    const before = done.length
    const way = { lanes: [plan.watch(lane)], outbox: plan.watch(store.outbox) }
    const call = () => ({ what: 'a call', body: name })
    for (let calls = 0; calls < 2 && !plan.isCrashed; calls += 1) {
      await deliver(name, call, way, plan.signal).catch(() => {})
      if (calls === 0 && !plan.isCrashed) lane.mine()
    }
    while (done.length === before || (await store.outbox.openOn(lane.name)) !== undefined) {
      await send(name)
      lane.mine()
      await closeLane(lane, store.outbox, signal)
    }
    expect(done.slice(before)).toEqual([name])
    if (!plan.isCrashed) return expect(point).toBe(plan.passed)
  }
})
