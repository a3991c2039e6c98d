import { type Hash, type Hex, isHex } from '../../domain/bytes.js'
import { assert } from '../../domain/errors.js'

/**
 * JSON-Cadence, the form in which Flow's API takes arguments and gives values: `{"type": "UInt64",
 * "value": "7"}` (https://cadence-lang.org/docs/json-cadence-spec).
 */
export interface CadenceValue {
  readonly type: string
  readonly value: unknown
}

export type UintType = `UInt${'' | 8 | 16 | 32 | 64 | 128 | 256}`

export function uint(type: UintType, value: bigint | number): CadenceValue {
  const number = BigInt(value)
  const bits = type === 'UInt' ? undefined : BigInt(type.slice('UInt'.length))
  const fits = number >= 0n && (bits === undefined || number < 1n << bits)
  assert(fits, `${number} does not fit ${type}`)
  return { type, value: number.toString() }
}

/** A signed integer without bounds: a length or a position. */
export function int(value: number): CadenceValue {
  return { type: 'Int', value: value.toString() }
}

/** Big-endian bytes as one integer, which is what Cadence computes with most cheaply. */
export function uintOfBytes(type: UintType, bytes: Hex): CadenceValue {
  assert(bytes.length > 2, 'no bytes to read as an integer')
  return uint(type, BigInt(bytes))
}

export function string(value: string): CadenceValue {
  return { type: 'String', value }
}

/** Bytes as hex digits without 0x. */
export function hexDigits(bytes: Hex): CadenceValue {
  assert(isHex(bytes), 'not lower-case hexadecimal text')
  return string(bytes.slice(2))
}

/** @param value 16 hex digits, with or without 0x */
export function address(value: string): CadenceValue {
  return { type: 'Address', value: `0x${value.replace(/^0x/, '')}` }
}

export function bool(value: boolean): CadenceValue {
  return { type: 'Bool', value }
}

export function array(values: readonly CadenceValue[]): CadenceValue {
  return { type: 'Array', value: values }
}

export function hashes(values: readonly Hash[]): CadenceValue {
  return array(values.map((value) => uintOfBytes('UInt256', value)))
}

/** A decoded value. Fixed-point numbers stay text; `amounts` are read where they are expected. */
export type Plain =
  | null
  | boolean
  | string
  | bigint
  | readonly Plain[]
  | ReadonlyMap<Plain, Plain>
  | { readonly [field: string]: Plain }

/**
 * Decodes what scripts and events of ours return: integers are bigints, UFix64 and addresses text,
 * dictionaries Maps, structs and events objects of their fields, an empty optional null.
 *
 * @throws TypeError for any other shape
 */
export function decodeCadence(json: unknown): Plain {
  const { type, value } = record(json)
  if (typeof type !== 'string') throw new TypeError('a value without a type')
  if (/^(U?Int|Word)(8|16|32|64|128|256)?$/.test(type)) return integer(value)
  switch (type) {
    case 'Void':
      return null
    case 'Optional':
      return value === null ? null : decodeCadence(value)
    case 'Bool':
      if (typeof value !== 'boolean') throw new TypeError('a Bool that is none')
      return value
    case 'String':
    case 'Address':
    case 'UFix64':
      return text(value)
    case 'Array':
      return list(value).map(decodeCadence)
    case 'Dictionary':
      return new Map(
        list(value).map((pair) => {
          const { key, value: held } = record(pair)
          return [decodeCadence(key), decodeCadence(held)]
        }),
      )
    case 'Struct':
    case 'Event':
      return fields(value)
    default:
      throw new TypeError(`a value of type ${type.slice(0, 40)}`)
  }
}

function fields(value: unknown): { [field: string]: Plain } {
  return Object.fromEntries(
    list(record(value).fields).map((field) => {
      const { name, value: held } = record(field)
      return [text(name), decodeCadence(held)]
    }),
  )
}

function integer(value: unknown): bigint {
  const digits = text(value)
  if (!/^-?\d+$/.test(digits)) throw new TypeError('an integer that is none')
  return BigInt(digits)
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  return value as Record<string, unknown>
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not an array')
  return value
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text')
  return value
}
