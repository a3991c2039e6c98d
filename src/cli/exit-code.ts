import { CommanderError } from 'commander'
import { ConfigError } from '../domain/errors.js'

/** What a command found wrong by looking, not by how it was called: ends with 1. */
export const FOUND_WRONG = { exitCode: 1, code: 'flowmeter.found_wrong' } as const

/** 0 help, 1 bug or what was looked for, 2 usage, 78 configuration or identity (sysexits). */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return 78
  if (!(error instanceof CommanderError)) return 1
  if (error.code === FOUND_WRONG.code) return error.exitCode
  // Commander says 1 for what the caller typed wrong, and 0 for help and version.
  return error.exitCode === 1 ? 2 : error.exitCode
}

/** Commander prints what the caller typed wrong by itself. */
export function isTold(error: unknown): boolean {
  return error instanceof CommanderError
}
