import { expect, test } from 'vitest'
import { clientKey, RateLimit } from '../../src/http/rate-limit.js'
import { ManualClock } from '../support/manual-clock.js'

test('a bucket fills evenly, never above what it holds, and a clock set back fills nothing', () => {
  const clock = new ManualClock(1_000_000)
  const limit = new RateLimit(2, clock)
  expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([undefined, undefined, 30])
  expect(limit.take('b')).toBeUndefined()
  clock.pass(30_000)
  expect([limit.take('a'), limit.take('a')]).toEqual([undefined, 30])
  clock.pass(-10_000)
  expect(limit.take('a')).toBe(30)
  clock.pass(3_600_000)
  expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([undefined, undefined, 30])
})

test('0 is no limit', () => {
  const limit = new RateLimit(0, new ManualClock(0))
  for (let i = 0; i < 10_000; i += 1) expect(limit.take('a')).toBeUndefined()
})

test('memory has an end: of very many clients the one seen longest ago is forgotten', () => {
  const limit = new RateLimit(1, new ManualClock(0))
  limit.take('first')
  for (let i = 0; i < 9_999; i += 1) limit.take(`client ${i}`)
  expect(limit.wait('first')).toBe(60)
  for (let i = 0; i < 10_000; i += 1) limit.take(`other ${i}`)
  expect(limit.wait('first')).toBeUndefined()
})

test.each([
  ['10.0.0.7', '10.0.0.7'],
  ['::ffff:10.0.0.7', '10.0.0.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s counts as %s', (address, key) => {
  expect(clientKey(address)).toBe(key)
})
