import type { RecordKey } from '../domain/usage-record.js'
import type { Clock } from '../ports/clock.js'
import type { Decision, Decisions } from '../ports/decisions.js'
import type { RecordRule } from '../ports/record-rule.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface DecideParts {
  readonly decisions: Decisions
  readonly rule: RecordRule
  readonly clock: Clock
}

const RECORDS_A_STEP = 500
/** A record on which the rule failed is shown to it again after this long. */
const HELD_MS = 10 * 60_000
/** A step ends early when rules fail, each after its time limit. */
const FAILURES_A_STEP = 10

/**
 * Lets the operator's rule look at each record once, before it counts. Attribution leaves alone
 * what was not decided, so a rule that fails holds records back and never lets them through.
 */
export async function decideNext(
  { decisions, rule, clock }: DecideParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const heldBeforeMs = clock.now() - HELD_MS
  const waiting = await decisions.undecided(rule.version, heldBeforeMs, RECORDS_A_STEP)
  if (waiting.length === 0) return 'idle'
  const decided: { key: RecordKey; decision: Decision }[] = []
  let failures = 0
  for (const record of waiting) {
    const decision = await rule.decide(record, signal)
    decided.push({ key: record.key, decision })
    if (decision.verdict === 'hold') failures += 1
    if (failures === FAILURES_A_STEP) break
  }
  await decisions.save(rule.version, decided)
  return 'advanced'
}
