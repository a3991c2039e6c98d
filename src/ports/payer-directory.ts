import type { DirectoryAnswer } from '../domain/directory-answer.js'

/** A table of payers that is kept elsewhere, or a function of the operator's. */
export interface PayerDirectory {
  /** Permanent: its answers are kept under it. */
  readonly name: string
  /** Whether `read` gives all that there is, or answers about the payers asked for. */
  readonly kind: 'table' | 'payers'
  readonly refreshMs: number
  /**
   * One bounded reading. A payer that is missing from the answer of `payers` has none.
   *
   * @throws RetryableError `directory_unreachable`, `directory_nonsense`; no secret in its message
   */
  read(
    payers: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, DirectoryAnswer>>
}
