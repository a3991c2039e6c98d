import { CommanderError } from 'commander'
import { ConfigError } from '../domain/errors.js'

/** 0 help, 1 bug, 2 usage, 78 configuration or identity (sysexits' EX_CONFIG). */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return 78
  if (!(error instanceof CommanderError)) return 1
  // Commander says 1 for what the caller typed wrong, and 0 for help and version.
  return error.exitCode === 1 ? 2 : error.exitCode
}

/** Commander prints what the caller typed wrong by itself. */
export function isTold(error: unknown): boolean {
  return error instanceof CommanderError
}
