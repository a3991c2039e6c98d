import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import type { Call, Fate, Lane, SignedTx } from '../../src/ports/lane.js'
import { PATIENCE_MS } from '../support/patience.js'

/** A lane of a key that nobody else uses, on a chain where every call can be seen to take effect. */
export interface LaneWorld {
  readonly lane: Lane
  /** The lane of the same key as a restarted process makes it. */
  reopen(): Lane
  /** The lane of the same key with the chain out of reach. */
  cutOff(): Lane
  /** A call that succeeds. Its effect counts once, whenever it lands. */
  call(): Call
  /** How many such calls took effect so far. */
  effects(): Promise<number>
  /** A call that can be signed; after `spoil`, it fails when it lands. */
  doomedCall(): Promise<{ readonly call: Call; readonly spoil: () => Promise<void> }>
  end(): Promise<void>
}

const POLL_MS = 20

/** What every lane promises. Call it once per adapter. */
export function laneContract(start: () => Promise<LaneWorld>): void {
  let world: LaneWorld
  const { signal } = new AbortController()

  beforeAll(async () => {
    world = await start()
  })
  afterAll(() => world?.end())

  /** The lane's word once it is no longer `open`. */
  async function fateOf(tx: SignedTx, lane = world.lane): Promise<Fate> {
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      const fate = await lane.fate(tx, signal)
      if (fate !== 'open' || performance.now() > deadlineMs) return fate
      await sleep(POLL_MS)
    }
  }

  describe('a lane', () => {
    test('has the same name after a restart', () => {
      expect(world.reopen().name).toBe(world.lane.name)
    })

    test('changes nothing by signing', async () => {
      const before = await world.effects()
      const tx = await world.lane.sign(world.call(), signal)
      expect(await world.lane.fate(tx, signal)).toBe('open')
      expect(await world.effects()).toBe(before)
    })

    test('lands what it sends', async () => {
      const before = await world.effects()
      const tx = await world.lane.sign(world.call(), signal)
      await world.lane.send(tx, signal)
      expect(await fateOf(tx)).toBe('landed')
      expect(await world.effects()).toBe(before + 1)
    })

    test('may send the same bytes any number of times, and after they landed', async () => {
      const before = await world.effects()
      const tx = await world.lane.sign(world.call(), signal)
      await world.lane.send(tx, signal)
      await world.lane.send(tx, signal)
      expect(await fateOf(tx)).toBe('landed')
      await world.lane.send(tx, signal)
      expect(await fateOf(tx)).toBe('landed')
      expect(await world.effects()).toBe(before + 1)
    })

    // Goal: a crash between saving and sending costs nothing. Method: all that crosses is text.
    test('goes on after a restart from what was saved', async () => {
      const before = await world.effects()
      const { id, bytes } = await world.lane.sign(world.call(), signal)
      const saved: SignedTx = JSON.parse(JSON.stringify({ id, bytes }))
      const restarted = world.reopen()
      expect(await restarted.fate(saved, signal)).toBe('open')
      await restarted.send(saved, signal)
      expect(await fateOf(saved, world.reopen())).toBe('landed')
      expect(await world.effects()).toBe(before + 1)
    })

    test('tells a transaction that landed and failed', async () => {
      const { call, spoil } = await world.doomedCall()
      const tx = await world.lane.sign(call, signal)
      await spoil()
      await world.lane.send(tx, signal)
      expect(await fateOf(tx)).toBe('refused')
    })

    test('tells a transaction that never will land, its place taken by another', async () => {
      const before = await world.effects()
      const late = await world.lane.sign(world.call(), signal)
      const quick = await world.lane.sign((await world.doomedCall()).call, signal)
      expect(quick.id).not.toBe(late.id)
      await world.lane.send(quick, signal)
      expect(await fateOf(quick)).toBe('landed')
      expect(await fateOf(late)).toBe('gone')
      expect(await world.effects()).toBe(before)
    })

    test('asks to be tried again while the chain is out of reach', async () => {
      const tx = await world.lane.sign(world.call(), signal)
      const lane = world.cutOff()
      await expect(lane.sign(world.call(), signal)).rejects.toThrow(RetryableError)
      await expect(lane.send(tx, signal)).rejects.toThrow(RetryableError)
      await expect(lane.fate(tx, signal)).rejects.toThrow(RetryableError)
    })

    test('stops when it is told to', async () => {
      const reason = new Error('shutting down')
      const aborted = AbortSignal.abort(reason)
      const tx = await world.lane.sign(world.call(), signal)
      await expect(world.lane.sign(world.call(), aborted)).rejects.toBe(reason)
      await expect(world.lane.send(tx, aborted)).rejects.toBe(reason)
      await expect(world.lane.fate(tx, aborted)).rejects.toBe(reason)
    })
  })
}
