/** Every failure that we expect has a stable code. Any other error is a bug. */
abstract class ExpectedError extends Error {
  /** `snake_case`, stable: operators and alerts match on it. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The same call may succeed later: a timeout, a 429, a busy node, a proof not served yet. */
export class RetryableError extends ExpectedError {
  override readonly name = 'RetryableError'
}

/** Trying again cannot help. The item is parked for an operator, and the loop moves on. */
export class TerminalError extends ExpectedError {
  override readonly name = 'TerminalError'
}

/**
 * The settings, or the identity of store and chains, are wrong: the process ends with exit code 78
 * and no restart helps. The message says what to do.
 */
export class ConfigError extends ExpectedError {
  override readonly name = 'ConfigError'
}

export function assert(condition: boolean, message = 'an assertion failed'): asserts condition {
  if (!condition) throw new Error(message)
}
