import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/domain/errors.js'
import { allowList } from '../../src/http/allow-list.js'

describe('who may ask', () => {
  test.each(['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1'])('%s always', (address) => {
    expect(allowList([])(address)).toBe(true)
  })

  test.each([
    ['10.0.0.7', '10.0.0.7', true],
    ['10.0.0.7', '10.0.0.8', false],
    ['10.0.0.7', '::ffff:10.0.0.7', true],
    ['10.0.0.7', '::FFFF:10.0.0.8', false],
    ['10.1.0.0/16', '10.1.255.255', true],
    ['10.1.0.0/16', '10.2.0.0', false],
    ['10.1.2.3/16', '10.1.9.9', true],
    ['192.168.0.0/25', '192.168.0.127', true],
    ['192.168.0.0/25', '192.168.0.128', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:DB8:0::7', '2001:db8::7', true],
    ['2001:db8::7', '::ffff:10.0.0.7', false],
  ])('%s and %s: %s', (item, address, expected) => {
    expect(allowList([item])(address)).toBe(expected)
  })

  test('an address that is none, such as that of a closed connection', () => {
    const isAllowed = allowList(['0.0.0.0/0', '::/0'])
    for (const address of ['', 'localhost', '10.0.0', '127.0.0.1.example.org']) {
      expect(isAllowed(address)).toBe(false)
    }
  })

  test.each([
    ...['localhost', '10.0.0', '10.0.0.0/33', '::1/129', '10.0.0.0/', '10.0.0.0/8/8'],
    ...['10.0.0.0/-1', '10.0.0.0/0x8', '*', '10.0.0.1-10.0.0.9'],
  ])('"%s" is neither address nor range: told at the start', (item) => {
    const make = () => allowList(['10.0.0.1', item])
    expect(make).toThrow(ConfigError)
    expect(make).toThrow(/ALLOWED_IPS/)
  })
})

// A proxy on this machine passes on whom it likes: it must be named to be believed.
test('loopback may by itself, but not for somebody else', () => {
  expect(allowList([])('127.0.0.1', true)).toBe(false)
  expect(allowList([])('::1', true)).toBe(false)
  expect(allowList(['127.0.0.1'])('127.0.0.1', true)).toBe(true)
})
