import { RetryableError } from '../../domain/errors.js'

const DAY_MS = 24 * 3_600_000

/** What was signed for since an instant, in wei: from the store, so that no restart forgets it. */
export type SpentSince = (sinceMs: number) => Promise<bigint>

/** What may be spent on attestation fees within 24 hours, in wei. */
export class FeeBudget {
  readonly #budget: bigint
  readonly #spentSince: SpentSince
  readonly #nowMs: () => number

  /** @param nowMs the time of day, by which the store keeps its rows */
  constructor(budget: bigint, spentSince: SpentSince, nowMs: () => number) {
    this.#budget = budget
    this.#spentSince = spentSince
    this.#nowMs = nowMs
  }

  /** @throws RetryableError `fee_budget_spent` */
  async check(fee: bigint): Promise<void> {
    const spent = await this.#spentSince(this.#nowMs() - DAY_MS)
    if (spent + fee <= this.#budget) return
    const numbers = `${spent} wei in 24 hours, ${fee} more asked, ${this.#budget} allowed`
    const fix = 'Raise FLARE_DAILY_FEE_BUDGET, or find out why requests fail.'
    throw new RetryableError('fee_budget_spent', `attestation fees: ${numbers}. ${fix}`)
  }
}
