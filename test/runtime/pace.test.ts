import { expect, test } from 'vitest'
import { Pace } from '../../src/runtime/pace.js'

const { signal } = new AbortController()

test('callers come through in the order in which they asked', async () => {
  const pace = new Pace(200)
  const through: number[] = []
  const turn = (caller: number) => pace.turn(signal).then(() => through.push(caller))
  await Promise.all([turn(1), turn(2), turn(3), turn(4)])
  expect(through).toEqual([1, 2, 3, 4])
})

test('an abort ends the wait, with its own reason', async () => {
  const pace = new Pace(0.001)
  await pace.turn(signal)
  const end = new AbortController()
  const waiting = pace.turn(end.signal)
  const reason = new Error('stop')
  end.abort(reason)
  await expect(waiting).rejects.toBe(reason)
})
