import type { Clock } from '../ports/clock.js'
import type { Records } from '../ports/stores.js'
import type { EventProblem, UsageReceiver } from '../ports/usage-receiver.js'

export interface ReceiveParts {
  readonly records: Records
  readonly clock: Clock
}

export type Received =
  /** Stored now, and known before. */
  | { readonly ok: true; readonly accepted: number; readonly duplicates: number }
  /** Nothing was stored. */
  | { readonly ok: false; readonly problems: readonly EventProblem[] }

/**
 * Takes a batch that a source sent: all of it in one transaction, or nothing. Sending it again is
 * harmless, since a record is known by its source and id; so whoever got no answer sends it again.
 */
export async function receiveUsage(
  { records, clock }: ReceiveParts,
  receiver: UsageReceiver,
  events: readonly unknown[],
): Promise<Received> {
  const nowMs = clock.now()
  const parsed = receiver.parse(events, nowMs)
  if (!parsed.ok) return parsed
  // There is nothing to read up to: the cursor says when it was heard of last.
  const range = { fromMs: nowMs, untilMs: nowMs }
  const slice = { records: parsed.records, rejects: [], range }
  const accepted = await records.saveSlice(receiver.name, slice, nowMs)
  return { ok: true, accepted, duplicates: events.length - accepted }
}
