import { RetryableError } from '../../domain/errors.js'

const DAY_MS = 24 * 3_600_000

/** What may be spent on attestation fees within 24 hours, in wei. A restart forgets what was. */
export class FeeBudget {
  readonly #budget: bigint
  readonly #nowMs: () => number
  #spent: readonly { readonly fee: bigint; readonly atMs: number }[] = []

  /** @param nowMs any clock that only goes forward */
  constructor(budget: bigint, nowMs: () => number = () => performance.now()) {
    this.#budget = budget
    this.#nowMs = nowMs
  }

  /** @throws RetryableError `fee_budget_spent` */
  check(fee: bigint): void {
    const sinceMs = this.#nowMs() - DAY_MS
    this.#spent = this.#spent.filter(({ atMs }) => atMs > sinceMs)
    const spent = this.#spent.reduce((sum, past) => sum + past.fee, 0n)
    if (spent + fee <= this.#budget) return
    const numbers = `${spent} wei in 24 hours, ${fee} more asked, ${this.#budget} allowed`
    const fix = 'Raise FLARE_DAILY_FEE_BUDGET, or find out why requests fail.'
    throw new RetryableError('fee_budget_spent', `attestation fees: ${numbers}. ${fix}`)
  }

  spend(fee: bigint): void {
    if (fee > 0n) this.#spent = [...this.#spent, { fee, atMs: this.#nowMs() }]
  }
}
