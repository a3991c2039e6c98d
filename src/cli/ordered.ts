import { userInfo } from 'node:os'
import { getuid } from 'node:process'
import { type Command, InvalidArgumentError } from 'commander'
import { type AccountNumber, accountNumber, type BatchId, readBatchName } from '../domain/ids.js'
import type { Ordered } from '../pipeline/record-correction.js'

export interface OrderOptions {
  readonly reason?: string
  readonly by?: string
  readonly json?: true
}

/** For verbs that are written into the operators' log. */
export function ordered(command: Command, what = 'why: kept for ever'): Command {
  return command
    .option('--reason <text>', what)
    .option('--by <name>', 'who orders it; the user of this machine unless told')
    .option('--json', 'print one JSON object')
}

/** The reason, without which nothing is done. */
export function orderOf({ reason, by }: OrderOptions, command: Command, hint = ''): Ordered {
  if (reason !== undefined && reason.trim() !== '') return { reason, by: by ?? nameOfUser() }
  return command.error(`error: say why, with --reason${hint}`, { exitCode: 2 })
}

/** In a container the user may have a number and no name. */
function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${getuid?.()}`
  }
}

export function batchNumber(text: string): BatchId {
  const id = readBatchName(text)
  if (id !== undefined) return id
  throw new InvalidArgumentError('the number of a batch, such as 7')
}

export function accountArgument(text: string): AccountNumber {
  const isNumber = /^(0|[1-9]\d{0,19})$/.test(text) && BigInt(text) < 1n << 64n
  if (isNumber) return accountNumber(BigInt(text))
  throw new InvalidArgumentError('an account number, such as 42')
}

/** Seconds since 1970, or the day on which the period begins. */
export function periodArgument(text: string): number {
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(`${text}T00:00:00Z`)
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text) || /^\d{1,10}$/.test(text)
  if (isDay && !Number.isNaN(ms)) return ms / 1000
  throw new InvalidArgumentError('the start of a period, such as 2026-11-01')
}
