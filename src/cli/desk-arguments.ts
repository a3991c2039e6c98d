import type { Command } from 'commander'
import type { Hex } from '../domain/bytes.js'
import { parseUfix64, parseWad, type Ufix64Units, type Wad } from '../domain/money.js'
import type { TokenPlace } from '../ports/desk.js'

/** What people write after a command, read. Anything else is wrong usage, and says how to do it. */

export function flareAddress(text: string, command: Command): Hex {
  const digits = text.toLowerCase().replace(/^0x/, '')
  if (/^[0-9a-f]{40}$/.test(digits)) return `0x${digits}`
  return command.error(`error: "${text}" is no address of 40 hex digits`, { exitCode: 2 })
}

export function flowAddress(text: string, command: Command): string {
  const digits = text.toLowerCase().replace(/^0x/, '')
  if (/^[0-9a-f]{16}$/.test(digits)) return `0x${digits}`
  return command.error(`error: "${text}" is no address of 16 hex digits`, { exitCode: 2 })
}

/** Tokens as people write them; a UFix64 ends at 184467440737.09551615. */
export function tokenAmount(text: string, command: Command): Ufix64Units {
  const isAmount = /^\d{1,12}(\.\d{1,8})?$/.test(text)
  const units = isAmount ? parseUfix64(text) : undefined
  if (units !== undefined && units < 1n << 64n) return units
  return command.error(`error: "${text}" is no amount of tokens, such as 12.5`, { exitCode: 2 })
}

/** Money as people write it, or none. It has to fit a UInt128. */
export function limitOf(text: string, command: Command): Wad | null {
  if (text === 'none') return null
  const limit = /^\d{1,20}(\.\d{1,18})?$/.test(text) ? parseWad(text) : undefined
  if (limit !== undefined) return limit
  return command.error(`error: "${text}" is no amount, such as 20.5`, { exitCode: 2 })
}

/** The unix seconds of a date or an instant in UTC. They end with a u32, as periods do. */
export function secondsOf(text: string, command: Command): number {
  const isDate = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z)?$/.test(text)
  const ms = isDate ? Date.parse(text) : Number.NaN
  if (ms >= 0 && ms < 2 ** 32 * 1_000) return ms / 1_000
  const message = `error: "${text}" is no date, such as 2027-01-01 or 2027-01-01T12:00Z`
  return command.error(message, { exitCode: 2 })
}

export const STORAGE = [
  '--storage <name>',
  'for another token than FLOW: where your account keeps it, such as usdcFlowVault',
] as const

export const RECEIVER = [
  '--receiver <name>',
  'for another token than FLOW: its public receiver, such as usdcFlowReceiver',
] as const

export interface PlaceOptions {
  readonly storage?: string
  readonly receiver?: string
}

/** Names of paths, with or without what stands before them; undefined: FLOW's own. */
export function placeOf(options: PlaceOptions, command: Command): TokenPlace | undefined {
  const storage = identifierOf('storage', options.storage, command)
  const receiver = identifierOf('public', options.receiver, command)
  if (storage === undefined && receiver === undefined) return undefined
  return { storage: storage ?? 'flowTokenVault', receiver }
}

function identifierOf(
  domain: 'storage' | 'public',
  text: string | undefined,
  command: Command,
): string | undefined {
  const name = text?.replace(new RegExp(`^/${domain}/`), '')
  if (name === undefined || /^[A-Za-z_]\w{0,127}$/.test(name)) return name
  const message = `error: "${text}" is no name of a path, such as usdcFlowVault`
  return command.error(message, { exitCode: 2 })
}

export function onOrOff(text: string, command: Command): boolean {
  if (text === 'on' || text === 'off') return text === 'on'
  return command.error(`error: "${text}" is neither on nor off`, { exitCode: 2 })
}

/** Tokens as people write them, in 1e-4 tokens. */
export function billableOf(text: string, command: Command): bigint {
  const match = /^(\d{1,24})(?:\.(\d{1,4}))?$/.exec(text)
  if (match !== null) return BigInt(`${match[1]}${(match[2] ?? '').padEnd(4, '0')}`)
  const message = `error: "${text}" is no number of tokens with at most 4 decimals`
  return command.error(message, { exitCode: 2 })
}
