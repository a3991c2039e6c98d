import { formatUfix64, type Ufix64Units } from '../../domain/money.js'
import { array, type CadenceValue, type UintType, uint } from './json-cadence.js'

export function optional(value: CadenceValue | undefined): CadenceValue {
  return { type: 'Optional', value: value ?? null }
}

/** @param value `0x` and 16 hex digits */
export function address(value: string): CadenceValue {
  return { type: 'Address', value }
}

export function ufix64(units: Ufix64Units): CadenceValue {
  return { type: 'UFix64', value: formatUfix64(units) }
}

/** One number of each of many things, as an array. */
export function column<Item>(
  items: readonly Item[],
  type: UintType,
  pick: (item: Item) => bigint | number,
): CadenceValue {
  return array(items.map((item) => uint(type, pick(item))))
}
