import { expect, test } from 'vitest'
import { Breaker } from '../../src/runtime/breaker.js'

test('keeps a node out for longer after each failed trial, half a minute at most', () => {
  let nowMs = 0
  const breaker = new Breaker(() => nowMs)
  const coolDowns: number[] = []
  for (let trial = 0; trial < 8; trial += 1) {
    breaker.noteFailure()
    coolDowns.push(breaker.openUntilMs - nowMs)
    nowMs = breaker.openUntilMs
    expect(breaker.isOpen).toBe(false)
  }
  expect(coolDowns).toEqual([1, 2, 4, 8, 16, 30, 30, 30].map((s) => s * 1_000))
  breaker.noteSuccess()
  breaker.noteFailure()
  expect(breaker.openUntilMs - nowMs).toBe(1_000)
})

test('tolerates what it is told to, until a success and after it', () => {
  const nowMs = 0
  const breaker = new Breaker(() => nowMs, 2)
  for (let round = 0; round < 2; round += 1) {
    breaker.noteFailure()
    breaker.noteFailure()
    expect(breaker.isOpen).toBe(false)
    breaker.noteFailure()
    expect(breaker.openUntilMs).toBe(1_000)
    breaker.noteSuccess()
    expect(breaker.isOpen).toBe(false)
  }
})

// An outage of all nodes asks each of them again and again, and must not lock them out for it.
test('counts no failure of a node that was asked before its time', () => {
  const breaker = new Breaker(() => 0)
  for (let times = 0; times < 100; times += 1) breaker.noteFailure()
  expect(breaker.openUntilMs).toBe(1_000)
})
