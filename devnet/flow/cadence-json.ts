/**
 * JSON-Cadence ("JSON-CDC"), the form in which Flow's REST API takes arguments and gives values:
 * `{"type": "UInt64", "value": "7"}`. Written from the published specification
 * (https://cadence-lang.org/docs/json-cadence-spec).
 */

/** A value as it is sent: an argument of a transaction or script. */
export interface CadenceValue {
  readonly type: string
  readonly value: unknown
}

const UFIX64_DECIMALS = 8
const UFIX64_MAX = 2n ** 64n

/** Any integer type of Cadence: `uint('UInt64', 7n)`. */
export function uint(type: string, value: bigint | number): CadenceValue {
  return { type, value: String(value) }
}

/** An amount: a decimal text ("1.5"), or a count of 1e-8 units (150000000n). */
export function ufix64(amount: string | bigint): CadenceValue {
  return { type: 'UFix64', value: formatUfix64(parseUfix64(amount)) }
}

export function string(value: string): CadenceValue {
  return { type: 'String', value }
}

export function bool(value: boolean): CadenceValue {
  return { type: 'Bool', value }
}

/** An address with or without `0x`. */
export function address(value: string): CadenceValue {
  return { type: 'Address', value: `0x${value.replace(/^0x/, '').padStart(16, '0')}` }
}

export function array(values: readonly CadenceValue[]): CadenceValue {
  return { type: 'Array', value: values }
}

export function optional(value: CadenceValue | null): CadenceValue {
  return { type: 'Optional', value }
}

export function dictionary(
  entries: readonly (readonly [CadenceValue, CadenceValue])[],
): CadenceValue {
  return { type: 'Dictionary', value: entries.map(([key, value]) => ({ key, value })) }
}

/** `publicPath('flowTokenReceiver')` is `/public/flowTokenReceiver`. */
export function path(domain: 'public' | 'storage' | 'private', identifier: string): CadenceValue {
  return { type: 'Path', value: { domain, identifier } }
}

/** Bytes as `[UInt8]`. */
export function bytes(value: Uint8Array): CadenceValue {
  return array([...value].map((byte) => uint('UInt8', byte)))
}

/** 1e-8 units of a decimal text. @throws RangeError when it does not fit a UFix64. */
export function parseUfix64(amount: string | bigint): bigint {
  if (typeof amount === 'bigint') return inRange(amount)
  const match = /^(\d+)(?:\.(\d{1,8}))?$/.exec(amount)
  if (match === null) throw new RangeError(`not a UFix64: ${amount}`)
  const [, whole = '', part = ''] = match
  return inRange(BigInt(whole + part.padEnd(UFIX64_DECIMALS, '0')))
}

/** The decimal text, always with 8 places, of a count of 1e-8 units. */
export function formatUfix64(units: bigint): string {
  const digits = units.toString().padStart(UFIX64_DECIMALS + 1, '0')
  return `${digits.slice(0, -UFIX64_DECIMALS)}.${digits.slice(-UFIX64_DECIMALS)}`
}

function inRange(units: bigint): bigint {
  if (units < 0n || units >= UFIX64_MAX) throw new RangeError(`outside of UFix64: ${units}`)
  return units
}

/** A decoded value. Integers and fixed-point numbers are bigints. */
export type Plain =
  | null
  | boolean
  | string
  | bigint
  | readonly Plain[]
  | ReadonlyMap<Plain, Plain>
  | { readonly [field: string]: Plain }

/**
 * Decodes a value to plain JavaScript.
 *
 * Integers become bigints; `UFix64` and `Fix64` bigints too, in units of 1e-8; an address is `0x`
 * and 16 hex digits; a dictionary is a `Map`; structs, resources, events are objects of their
 * fields; an enum is its raw value; an empty optional and `Void` are null; a path is
 * "/public/name"; a type is its id; a capability is `{ id, address, borrowType }`.
 *
 * @throws TypeError for a shape that is not JSON-Cadence.
 */
export function decode(json: unknown): Plain {
  const { type, value } = asObject(json)
  if (typeof type !== 'string') throw new TypeError('JSON-Cadence value without a type')
  if (/^(U?Int|Word)(8|16|32|64|128|256)?$/.test(type)) return BigInt(asString(value))
  switch (type) {
    case 'Void':
      return null
    case 'Optional':
      return value === null || value === undefined ? null : decode(value)
    case 'Bool':
      if (typeof value !== 'boolean') throw new TypeError('a Bool that is no boolean')
      return value
    case 'String':
    case 'Character':
      return asString(value)
    case 'Address':
      return `0x${asString(value).replace(/^0x/, '').padStart(16, '0')}`
    case 'UFix64':
    case 'Fix64':
      return fixed(asString(value))
    case 'Array':
      return asArray(value).map(decode)
    case 'Dictionary':
      return new Map(
        asArray(value)
          .map(asObject)
          .map((e) => [decode(e.key), decode(e.value)]),
      )
    default:
      return decodeNominal(type, value)
  }
}

function decodeNominal(type: string, value: unknown): Plain {
  switch (type) {
    case 'Struct':
    case 'Resource':
    case 'Event':
    case 'Contract':
    case 'Attachment':
      return fieldsOf(value)
    case 'Enum':
      return fieldsOf(value).rawValue ?? null
    case 'Path': {
      const { domain, identifier } = asObject(value)
      return `/${asString(domain)}/${asString(identifier)}`
    }
    case 'Type':
      return typeId(asObject(value).staticType)
    case 'Capability': {
      const { id, address: holder, borrowType } = asObject(value)
      return { id: BigInt(asString(id)), address: asString(holder), borrowType: typeId(borrowType) }
    }
    default:
      throw new TypeError(`JSON-Cadence type ${type} is not known here`)
  }
}

function fieldsOf(value: unknown): Record<string, Plain> {
  const fields = asArray(asObject(value).fields).map(asObject)
  return Object.fromEntries(fields.map(({ name, value }) => [asString(name), decode(value)]))
}

/** Old emulators give a text, newer ones a description of the type. */
function typeId(type: unknown): string {
  if (typeof type === 'string') return type
  const { typeID, kind } = asObject(type)
  return asString(typeID ?? kind)
}

function fixed(text: string): bigint {
  const [, sign = '', whole = '', part = ''] = /^(-?)(\d+)\.(\d{8})$/.exec(text) ?? []
  if (whole === '') throw new TypeError(`not a fixed-point number: ${text}`)
  return BigInt(`${sign}${whole}${part}`)
}

function asObject(json: unknown): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new TypeError('expected a JSON object')
  }
  return json as Record<string, unknown>
}

function asArray(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw new TypeError('expected a JSON array')
  return json
}

function asString(json: unknown): string {
  if (typeof json !== 'string') throw new TypeError('expected a JSON string')
  return json
}
