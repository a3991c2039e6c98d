import type { Clock } from '../ports/clock.js'
import { userBehaviour, vaultBehaviour } from './behaviour.js'
import { cheaperModels } from './cheaper.js'
import { healthOf } from './health.js'
import { modelPreferences } from './models.js'
import { peakHours } from './peak-hours.js'
import { projections } from './projection.js'
import type { Findings, Report, ReportQuestion } from './report.js'
import { tierProgression } from './tiers.js'
import { iso, type ReportStores, Terms } from './usage.js'

export type { ReportStores } from './usage.js'

/** Answers one question from the store alone. */
export async function makeReport(
  { stores, clock }: { readonly stores: ReportStores; readonly clock: Clock },
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Report> {
  const { columns, rows, notes, isCut = false } = await findingsOf(stores, question, signal)
  const { kind, account, fromMs, untilMs } = question
  return {
    kind,
    at: iso(clock.now()),
    from: iso(fromMs),
    until: iso(untilMs),
    ...(account === undefined ? {} : { account: account.toString() }),
    columns,
    rows,
    isCut,
    notes,
  }
}

async function findingsOf(
  stores: ReportStores,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const { kind } = question
  if (kind === 'health') return healthOf(stores, question)
  if (kind === 'peak-hours') return peakHours(stores, question, signal)
  const terms = await Terms.read(stores, question)
  switch (kind) {
    case 'models':
      return modelPreferences(stores, terms, question, signal)
    case 'users':
      return userBehaviour(stores, terms, question, signal)
    case 'vaults':
      return vaultBehaviour(stores, terms, question, signal)
    case 'cheaper':
      return cheaperModels(stores, terms, question, signal)
    case 'tiers':
      return tierProgression(stores, terms, question, signal)
    case 'projection':
      return projections(stores, terms, question, signal)
  }
}
