import { ConfigError, RetryableError, TerminalError } from '../domain/errors.js'

/**
 * Works on one item. What may pass, and what only an operator can mend for the whole process, goes
 * on up; anything else parks this item and the loop moves on: a bug with its stack.
 */
export async function guard<Result>(
  work: () => Promise<Result>,
  park: (reason: string) => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof RetryableError || error instanceof ConfigError) throw error
    if (error instanceof TerminalError) return park(`${error.code}: ${error.message}`)
    return park(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
}
