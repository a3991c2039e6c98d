import { describe, expect, test } from 'vitest'
import {
  type Anchor,
  advance,
  type BatchEvent,
  type BatchLife,
  IN_FLIGHT_STATES,
} from '../../src/domain/batch.js'
import { keccak } from '../../src/domain/bytes.js'

const anchor: Anchor = { txHash: keccak('0x01'), blockNumber: 10, logIndex: 2 }
const moved: Anchor = { txHash: keccak('0x02'), blockNumber: 11, logIndex: 0 }
const known = { anchor, missedRounds: [3] }

const LIVES: Readonly<Record<BatchLife['state'], BatchLife>> = {
  sealed: { state: 'sealed' },
  anchored: { state: 'anchored', ...known },
  requested: { state: 'requested', round: 5, ...known },
  finalised: { state: 'finalised', round: 5, ...known },
  attested: { state: 'attested', round: 5, ...known },
  accepted: { state: 'accepted' },
  settled: { state: 'settled' },
  superseded: { state: 'superseded' },
  parked: { state: 'parked', reason: 'why', from: { state: 'accepted' } },
}

const EVENTS: Readonly<Record<BatchEvent['type'], BatchEvent>> = {
  anchored: { type: 'anchored', anchor: moved },
  requested: { type: 'requested', round: 7 },
  parked: { type: 'parked', reason: 'stuck' },
  voided: { type: 'voided', reason: 'its meter was revoked' },
  vanished: { type: 'vanished' },
  missed: { type: 'missed' },
  finalised: { type: 'finalised' },
  attested: { type: 'attested' },
  accepted: { type: 'accepted' },
  settled: { type: 'settled' },
  superseded: { type: 'superseded' },
  retried: { type: 'retried' },
}

const parked = (from: BatchLife): BatchLife => ({ state: 'parked', reason: 'stuck', from })
const voided: BatchLife = { state: 'superseded', reason: 'its meter was revoked' }
const missed: BatchLife = { state: 'anchored', anchor, missedRounds: [3, 5] }

/** Every event that a state takes, with what becomes of it. All other pairs throw. */
const TABLE: Readonly<
  Record<BatchLife['state'], Partial<Readonly<Record<BatchEvent['type'], BatchLife>>>>
> = {
  sealed: { anchored: { state: 'anchored', anchor: moved, missedRounds: [] }, voided },
  anchored: {
    requested: { state: 'requested', round: 7, ...known },
    vanished: LIVES.sealed,
    accepted: LIVES.accepted,
    parked: parked(LIVES.anchored),
    voided,
  },
  requested: {
    finalised: LIVES.finalised,
    missed,
    vanished: LIVES.sealed,
    accepted: LIVES.accepted,
    parked: parked(LIVES.requested),
    voided,
  },
  finalised: {
    attested: LIVES.attested,
    missed,
    vanished: LIVES.sealed,
    accepted: LIVES.accepted,
    parked: parked(LIVES.finalised),
    voided,
  },
  attested: { accepted: LIVES.accepted, missed, parked: parked(LIVES.attested), voided },
  accepted: {
    settled: LIVES.settled,
    superseded: LIVES.superseded,
    parked: parked(LIVES.accepted),
    voided,
  },
  settled: {},
  superseded: {},
  parked: { retried: LIVES.accepted, superseded: LIVES.superseded, voided },
}

describe.each(Object.values(LIVES))('a batch that is $state', (life) => {
  test.each(Object.values(EVENTS))('and $type', (event) => {
    const expected = TABLE[life.state][event.type]
    if (expected === undefined) {
      expect(() => advance(life, event)).toThrow(
        `a batch that is ${life.state} cannot be ${event.type}`,
      )
    } else {
      expect(advance(life, event)).toEqual(expected)
    }
  })
})

test('the whole way, and a second round after one that missed', () => {
  const way: BatchEvent[] = [
    { type: 'anchored', anchor },
    { type: 'requested', round: 3 },
    EVENTS.finalised,
    EVENTS.missed,
    { type: 'requested', round: 5 },
    EVENTS.finalised,
    EVENTS.attested,
    EVENTS.parked,
    EVENTS.retried,
    EVENTS.accepted,
    EVENTS.settled,
  ]
  const lives: BatchLife[] = []
  for (const event of way) lives.push(advance(lives.at(-1) ?? LIVES.sealed, event))
  expect(lives.map(({ state }) => state)).toEqual([
    ...['anchored', 'requested', 'finalised', 'anchored', 'requested', 'finalised', 'attested'],
    ...['parked', 'attested', 'accepted', 'settled'],
  ])
  expect(lives[6]).toEqual({ state: 'attested', round: 5, anchor, missedRounds: [3] })
})

test('a batch parked for its many missed rounds may miss as many again once it is retried', () => {
  const tired: BatchLife = { state: 'anchored', anchor, missedRounds: [1, 2, 3, 4, 5] }
  const retried = advance(advance(tired, EVENTS.parked), EVENTS.retried)
  expect(retried).toEqual({ state: 'anchored', anchor, missedRounds: [] })
})

test('in flight is what is not accepted yet, a parked batch not counting', () => {
  const others = Object.keys(LIVES).filter(
    (state) => !IN_FLIGHT_STATES.some((one) => one === state),
  )
  expect(others.sort()).toEqual(['accepted', 'parked', 'settled', 'superseded'])
})
