import type { z } from 'zod'
import { TerminalError } from '../domain/errors.js'
import { type AccountNumber, accountNumber } from '../domain/ids.js'

const ACCOUNT_MAX = 2n ** 64n

/** What was signed, in the shape that is expected; a body is read as JSON first. */
export function jsonOf<Shape>(shape: z.ZodType<Shape>, value: unknown): Shape {
  const read = shape.safeParse(Buffer.isBuffer(value) ? parsed(value) : value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = issue?.path.join('.') || 'it'
  throw new TerminalError('payment_event', `the event cannot be read: ${where}: ${issue?.message}`)
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new TerminalError('payment_event', 'the event is not JSON')
  }
}

/** One writing a number: `7`, never `007` or `+7`. Undefined for anything else. */
export function accountOf(text: unknown): AccountNumber | undefined {
  if (typeof text !== 'string' || !/^(0|[1-9]\d{0,19})$/.test(text)) return undefined
  const number = BigInt(text)
  return number < ACCOUNT_MAX ? accountNumber(number) : undefined
}
