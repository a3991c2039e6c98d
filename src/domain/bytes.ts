import { keccak_256 } from '@noble/hashes/sha3.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { assert } from './errors.js'

/** Bytes as lower-case hexadecimal text. Comparing two as text compares them as numbers. */
export type Hex = `0x${string}`

declare const hashBrand: unique symbol
/** 32 bytes. */
export type Hash = Hex & { readonly [hashBrand]: true }

export const ZERO_HASH = `0x${'00'.repeat(32)}` as Hash

const HEX = /^0x(?:[0-9a-f]{2})*$/

export function isHex(text: string): text is Hex {
  return HEX.test(text)
}

/** The one place where text becomes a hash: 32 bytes, written in lower case. */
export function hash(text: string): Hash {
  const lower = text.toLowerCase()
  assert(lower.length === 66 && isHex(lower), `not 32 bytes of hexadecimal: ${text.slice(0, 80)}`)
  return lower as Hash
}

export function fromHex(hex: Hex): Uint8Array {
  return hexToBytes(hex.slice(2))
}

export function toHex(bytes: Uint8Array): Hex {
  return `0x${bytesToHex(bytes)}`
}

export function utf8(text: string): Uint8Array {
  return utf8ToBytes(text)
}

/** Whether a text has half characters in it: stored as UTF-8 it would come back as another text. */
export function isWhole(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

export function join(...parts: readonly Hex[]): Hex {
  return `0x${parts.map((part) => part.slice(2)).join('')}`
}

/** Keccak-256 of the parts, one after the other. */
export function keccak(...parts: readonly (Hex | Uint8Array)[]): Hash {
  const bytes = parts.map((part) => (typeof part === 'string' ? fromHex(part) : part))
  return toHex(keccak_256(concatBytes(...bytes))) as Hash
}

export const u8 = (value: bigint | number): Hex => unsigned(value, 1)
export const u16 = (value: bigint | number): Hex => unsigned(value, 2)
export const u32 = (value: bigint | number): Hex => unsigned(value, 4)
export const u64 = (value: bigint | number): Hex => unsigned(value, 8)
export const u256 = (value: bigint | number): Hex => unsigned(value, 32)

/** Big-endian. A value that does not fit is a bug of the caller, never cut off. */
function unsigned(value: bigint | number, bytes: number): Hex {
  const number = BigInt(value)
  assert(number >= 0n && number < 1n << BigInt(bytes * 8), `${number} does not fit ${bytes} bytes`)
  return `0x${number.toString(16).padStart(bytes * 2, '0')}`
}
