import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
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
    check: gauge('check_difference', 'What must be 0, by check', ['check']),
    wallet: gauge('wallet_balance', 'Coins that pay for transactions, by chain', ['wallet']),
    runway: gauge('wallet_runway_days', 'Days that they last at the pace of a week', ['wallet']),
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
    | 'lag'
    | 'broken'
    | 'check'
    | 'wallet'
    | 'runway'
    | 'policies',
    Gauge
  >
>

function fill(gauges: Gauges, status: Status): void {
  for (const [kind, count] of Object.entries(status.records)) gauges.records.set({ kind }, count)
  for (const [state, { count, oldestAgeS }] of Object.entries(status.backlog)) {
    gauges.backlog.set({ state }, count)
    gauges.age.set({ state }, oldestAgeS ?? 0)
  }
  for (const { wallet, balance, runwayDays } of status.wallets) {
    gauges.wallet.set({ wallet }, Number(balance))
    if (runwayDays !== undefined) gauges.runway.set({ wallet }, runwayDays)
  }
  if (status.policies !== undefined) gauges.policies.set(status.policies.behind)
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
  } of status.sources) {
    gauges.skew.set({ source: name }, clockSkewS)
    gauges.quarantined.set({ source: name }, quarantined)
    gauges.twins.set({ source: name }, twins)
    gauges.lag.set({ source: name }, lagS)
    gauges.broken.set({ source: name }, problem === undefined ? 0 : 1)
  }
  for (const [check, difference] of Object.entries(status.conservation?.checks ?? {})) {
    gauges.check.set({ check }, Number(difference))
  }
}
