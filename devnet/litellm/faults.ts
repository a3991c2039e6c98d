import type { NewCall } from './calls.js'

/** How the proxy misbehaves. */
export type FaultKind =
  /** The connection is closed without an answer. */
  | { readonly kind: 'unreachable' }
  /** 401, `token_not_found_in_db`: the key was deleted. */
  | { readonly kind: 'keyGone' }
  /** As answered to `internal_user`: 200 without rows from 1.96 on, 401 before. */
  | { readonly kind: 'wrongRole' }
  /** Started without a database: 401, "Prisma Client is not initialized". */
  | { readonly kind: 'noDatabase' }
  /** The database went away: 500 for the master key, 503 for others, readiness 503. */
  | { readonly kind: 'databaseLost' }
  /** Any status with any body, such as a 429, a 500, or the page of a gateway. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: unknown }
  /** A complete answer over HTTP whose JSON ends in the middle. */
  | { readonly kind: 'truncated' }
  /** The connection breaks in the middle of the body. */
  | { readonly kind: 'broken' }
  /** A body of at least so many bytes, blanks before the JSON. */
  | { readonly kind: 'oversized'; readonly bytes: number }
  /** Answers only after so many milliseconds of real time; Infinity: never. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Calls written between the two queries of one answer, the count and the rows. */
  | { readonly kind: 'lateRows'; readonly calls: readonly NewCall[] }

export type Fault = FaultKind & {
  /** How many answers it spoils; 1 unless told, Infinity: until it is lifted. */
  readonly times?: number
  /** Only answers to paths that begin with this. */
  readonly path?: string
}

/** The faults to come, used up from the oldest. */
export class FaultPlan {
  #planned: { readonly fault: Fault; left: number }[] = []

  /** Returns what lifts the fault again. */
  add(fault: Fault): () => void {
    const planned = { fault, left: fault.times ?? 1 }
    this.#planned.push(planned)
    return () => {
      this.#planned = this.#planned.filter((other) => other !== planned)
    }
  }

  clear(): void {
    this.#planned = []
  }

  /** The fault that spoils this answer, if any, used up once. */
  take(path: string): Fault | undefined {
    const planned = this.#planned.find(
      ({ fault, left }) => left > 0 && path.startsWith(fault.path ?? '/'),
    )
    if (planned === undefined) return undefined
    planned.left -= 1
    return planned.fault
  }
}
