import type { Brand } from './ids.js'

/** 1e-18 of a currency. */
export type Wad = Brand<bigint, 'Wad'>
/** 1e-8 of a token, Flow's UFix64. */
export type Ufix64Units = Brand<bigint, 'Ufix64Units'>

export const wad = (value: bigint): Wad => value as Wad

const WAD_DIGITS = 18
const UFIX64_DIGITS = 8

/** For people: `1.5` of 1500000000000000000. Exact; never used to compute. */
export function formatWad(value: Wad): string {
  return formatFixed(value, WAD_DIGITS)
}

/** As Cadence writes a UFix64: always with a point. */
export function formatUfix64(units: Ufix64Units): string {
  const text = formatFixed(units, UFIX64_DIGITS)
  return text.includes('.') ? text : `${text}.0`
}

/** The units in Cadence's text of a UFix64; `1.5` is 150000000. */
export function parseUfix64(text: string): Ufix64Units {
  const match = /^(\d+)(?:\.(\d{1,8}))?$/.exec(text)
  if (match === null) throw new Error(`not a UFix64: ${text}`)
  const fraction = (match[2] ?? '').padEnd(UFIX64_DIGITS, '0')
  return BigInt(`${match[1]}${fraction}`) as Ufix64Units
}

/** `1.5` as 1500000000000000000. */
export function parseWad(text: string): Wad {
  const match = /^(\d+)(?:\.(\d{1,18}))?$/.exec(text)
  if (match === null) throw new Error(`not an amount: ${text}`)
  return wad(BigInt(`${match[1]}${(match[2] ?? '').padEnd(WAD_DIGITS, '0')}`))
}

function formatFixed(value: bigint, digits: number): string {
  const sign = value < 0n ? '-' : ''
  const text = (value < 0n ? -value : value).toString().padStart(digits + 1, '0')
  const fraction = text.slice(-digits).replace(/0+$/, '')
  return `${sign}${text.slice(0, -digits)}${fraction === '' ? '' : `.${fraction}`}`
}
