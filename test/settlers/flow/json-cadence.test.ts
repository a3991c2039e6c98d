import { expect, test } from 'vitest'
import { z } from 'zod'
import { RetryableError } from '../../../src/domain/errors.js'
import * as value from '../../../src/settlers/flow/json-cadence.js'
import { planView, readCadence, recordsView, vaultsView } from '../../../src/settlers/flow/parse.js'

test('arguments have the form of the specification', () => {
  expect(value.uint('UInt64', 7n)).toEqual({ type: 'UInt64', value: '7' })
  expect(value.int(-3)).toEqual({ type: 'Int', value: '-3' })
  expect(value.bool(true)).toEqual({ type: 'Bool', value: true })
  expect(value.uintOfBytes('UInt', '0x0100')).toEqual({ type: 'UInt', value: '256' })
  expect(value.hexDigits('0x00ff')).toEqual({ type: 'String', value: '00ff' })
  expect(value.array([value.uint('UInt16', 1)])).toEqual({
    type: 'Array',
    value: [{ type: 'UInt16', value: '1' }],
  })
})

test.each([
  ['UInt16', 65_536n],
  ['UInt64', 1n << 64n],
  ['UInt256', 1n << 256n],
  ['UInt', -1n],
] as const)('%s does not take %i', (type, number) => {
  expect(() => value.uint(type, number)).toThrow(/does not fit/)
})

test('decodes nested values', () => {
  const field = (name: string, held: object): object => ({ name, value: held })
  const decoded = value.decodeCadence({
    type: 'Struct',
    value: {
      id: 's.main.View',
      fields: [
        field('number', { type: 'UInt128', value: '340282366920938463463374607431768211455' }),
        field('none', { type: 'Optional', value: null }),
        field('some', { type: 'Optional', value: { type: 'UFix64', value: '1.50000000' } }),
        field('map', {
          type: 'Dictionary',
          value: [{ key: { type: 'UInt16', value: '1' }, value: { type: 'Bool', value: false } }],
        }),
        field('list', { type: 'Array', value: [{ type: 'Address', value: '0x01' }] }),
      ],
    },
  })
  expect(decoded).toEqual({
    number: (1n << 128n) - 1n,
    none: null,
    some: '1.50000000',
    map: new Map([[1n, false]]),
    list: ['0x01'],
  })
})

test.each([
  null,
  7,
  { value: '7' },
  { type: 'UInt64', value: 7 },
  { type: 'UInt64', value: 'x' },
  { type: 'Array', value: {} },
  { type: 'Bool', value: 'true' },
  { type: 'Struct', value: { fields: [{ name: 7, value: { type: 'Void' } }] } },
  { type: 'Capability', value: {} },
])('what is not expected is told as the node’s nonsense: %j', (json) => {
  const read = (): unknown => readCadence(json, z.array(z.bigint()), 'the result of x.cdc')
  expect(read).toThrow(RetryableError)
  expect(read).toThrow(/the result of x\.cdc/)
})

test.each([
  [vaultsView, { type: 'Array', value: [{ type: 'UInt64', value: '1' }] }],
  [recordsView, { type: 'Optional', value: null }],
  [planView, { type: 'String', value: 'plan' }],
])('a value of another shape is nonsense as well', (view, json) => {
  expect(() => readCadence(json, view as z.ZodType, 'it')).toThrow(/it is not as expected/)
})
