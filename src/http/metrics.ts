import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { ALARMS } from '../pipeline/alarms.js'
import type { Status } from '../pipeline/status.js'
import type { StepListener } from '../runtime/worker.js'
import { meteringGauges } from './metering-metrics.js'

export interface Metrics {
  readonly contentType: string
  /** In Prometheus's text format, as of now. */
  text(): Promise<string>
  readonly note: StepListener
}

/** Gauges are read from the store when they are asked for: nothing is counted twice in memory. */
export function metricsOf(status: () => Promise<Status>): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `flowmeter_${name}`, help, labelNames, registers: [registry] })
  const gauges = {
    records: gauge('records', 'Usage records by what became of them', ['kind']),
    backlog: gauge('backlog', 'Items that wait, by state', ['state']),
    age: gauge('backlog_oldest_age_seconds', 'Age of the oldest item of a state', ['state']),
    unmapped: gauge('unmapped_records', 'Billable records without a vault'),
    held: gauge('held_entries', 'Vaults and periods that wait for an operator', ['cause']),
    corrections: gauge('pending_corrections', 'Recorded corrections that are not on Flow yet'),
    refused: gauge('refused_entries', 'Entries that Flow did not apply'),
    lag: gauge('source_lag_seconds', 'Age of the newest instant read in full', ['source']),
    broken: gauge('source_problem', '1 while a source cannot be read', ['source']),
    skew: gauge('source_clock_skew_seconds', 'Its clock minus ours', ['source']),
    quarantined: gauge('quarantined_rows', 'Rows that changed after they were read', ['source']),
    twins: gauge('twin_records', 'Calls that another source showed before', ['source']),
    heldRows: gauge('held_rows', 'Rows that do not count until somebody decides', [
      'source',
      'reason',
    ]),
    check: gauge('check_difference', 'What must be 0, by check', ['check']),
    wallet: gauge('wallet_balance', 'Coins that pay for transactions, by chain', ['wallet']),
    runway: gauge('wallet_runway_days', 'Days that they last at the pace of a week', ['wallet']),
    priceWait: gauge('token_price_missing', '1 while payments wait for a price', [
      'token',
      'currency',
    ]),
    priceAge: gauge('token_price_age_seconds', 'Age of a price', ['token', 'currency']),
    missed: gauge('missed_rounds', 'Voting rounds that did not prove a batch that waits, at most'),
    alarm: gauge('alarm', '1 while it is raised; all that there are', ['alarm', 'severity']),
    policies: gauge('policy_epochs_behind', 'Epochs by which the light client is behind Flare'),
  }
  const fillMetering = meteringGauges(registry)
  const steps = new Counter({
    name: 'flowmeter_worker_steps_total',
    help: 'Steps by worker and result: advanced, idle or the code of the error',
    labelNames: ['worker', 'result'],
    registers: [registry],
  })
  return {
    contentType: registry.contentType,
    note: (worker, result) =>
      steps.inc({ worker, result: typeof result === 'string' ? result : result.code }),
    async text() {
      const now = await status()
      fill(gauges, now)
      if (now.metering !== undefined) fillMetering(now.metering)
      return registry.metrics()
    },
  }
}

type Gauges = Readonly<
  Record<
    | 'records'
    | 'backlog'
    | 'age'
    | 'unmapped'
    | 'refused'
    | 'held'
    | 'corrections'
    | 'skew'
    | 'quarantined'
    | 'twins'
    | 'held'
    | 'lag'
    | 'broken'
    | 'check'
    | 'wallet'
    | 'runway'
    | 'heldRows'
    | 'priceWait'
    | 'priceAge'
    | 'missed'
    | 'policies'
    | 'alarm',
    Gauge
  >
>

function fill(gauges: Gauges, status: Status): void {
  gauges.heldRows.reset() // A reason is only there while rows have it.
  const raised = new Set(status.alarms.map(({ id }) => id))
  for (const { id, severity } of ALARMS) {
    gauges.alarm.set({ alarm: id, severity }, raised.has(id) ? 1 : 0)
  }
  for (const kind of ['total', 'excluded', 'rejected', 'sealed'] as const) {
    gauges.records.set({ kind }, status.records[kind])
  }
  for (const [state, { count, oldestAgeS }] of Object.entries(status.backlog)) {
    gauges.backlog.set({ state }, count)
    gauges.age.set({ state }, oldestAgeS ?? 0)
  }
  for (const { wallet, balance, runwayDays } of status.wallets) {
    gauges.wallet.set({ wallet }, Number(balance))
    if (runwayDays !== undefined) gauges.runway.set({ wallet }, runwayDays)
  }
  for (const { token, currency, ageS, paymentsWait } of status.prices ?? []) {
    gauges.priceWait.set({ token, currency }, paymentsWait === undefined ? 0 : 1)
    if (ageS !== undefined) gauges.priceAge.set({ token, currency }, ageS)
  }
  if (status.policies !== undefined) gauges.policies.set(status.policies.behind)
  gauges.missed.set(Math.max(0, ...status.batches.map(({ missedRounds = 0 }) => missedRounds)))
  gauges.unmapped.set(status.unmapped.records)
  gauges.refused.set(status.refusedEntries)
  gauges.corrections.set(status.pendingCorrections)
  gauges.held.reset()
  for (const { cause } of status.held) gauges.held.inc({ cause })
  for (const {
    name,
    lagS,
    problem,
    clockSkewS = 0,
    quarantined = 0,
    twins = 0,
    held = {},
  } of status.sources) {
    gauges.skew.set({ source: name }, clockSkewS)
    gauges.quarantined.set({ source: name }, quarantined)
    gauges.twins.set({ source: name }, twins)
    for (const [reason, rows] of Object.entries(held)) {
      gauges.heldRows.set({ source: name, reason }, rows)
    }
    gauges.lag.set({ source: name }, lagS)
    gauges.broken.set({ source: name }, problem === undefined ? 0 : 1)
  }
  for (const [check, difference] of Object.entries(status.conservation?.checks ?? {})) {
    gauges.check.set({ check }, Number(difference))
  }
}
