import type { z } from 'zod'
import { TerminalError } from '../domain/errors.js'
import { type AccountNumber, canonicalAccount } from '../domain/ids.js'

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

/** The account that a checkout was told; undefined for anything but its one writing. */
export function accountOf(text: unknown): AccountNumber | undefined {
  return typeof text === 'string' ? canonicalAccount(text) : undefined
}
