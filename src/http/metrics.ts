import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ALARMS } from '../pipeline/alarms.js'
import type { MeteringStatus } from '../pipeline/metering-status.js'
import type { Status } from '../pipeline/status.js'
import { listenToMeasures } from '../runtime/measures.js'
import type { StepListener } from '../runtime/worker.js'
import { METRICS, type MetricKind, type MetricName } from './metric-list.js'

export interface Metrics {
  readonly contentType: string
  /** In Prometheus's text format, as of now. */
  text(): Promise<string>
  readonly note: StepListener
  /** Counts no more. */
  end(): void
}

const WORKER_STATES = ['ok', 'starting', 'failing', 'stuck'] as const
/** Enough to tell keys apart, and no more of the hash than a label needs. */
const KEY_CHARS = 12
const MS = 1_000

type Labels = Readonly<Record<string, string>>
type SetGauge = (name: MetricName, value: number, labels?: Labels) => void

/**
 * Gauges are read from the store when they are asked for: nothing is counted twice in memory. What
 * happens between two questions, steps and requests, is counted by this process.
 */
export function metricsOf(status: () => Promise<Status>): Metrics {
  const registry = new Registry()
  const made = new Map(
    Object.entries<MetricKind>(METRICS).map(([name, kind]) => [name, make(name, kind, registry)]),
  )
  collectDefaultMetrics({ register: registry })
  const steps = made.get('worker_steps_total') as Counter
  const answers = made.get('dependency_seconds') as Histogram
  const states = made.get('batch_stage_seconds') as Histogram
  const end = listenToMeasures({
    onExchange: ({ ms, ...labels }) => answers.observe(labels, ms / MS),
    onStage: ({ state, sinceMs, untilMs }) => states.observe({ state }, (untilMs - sinceMs) / MS),
  })
  const set: SetGauge = (name, value, labels = {}) => (made.get(name) as Gauge).set(labels, value)
  return {
    contentType: registry.contentType,
    note: (worker, result) =>
      steps.inc({ worker, result: typeof result === 'string' ? result : result.code }),
    async text() {
      const now = await status()
      // What is no longer there must not stay as it was.
      for (const metric of made.values()) if (metric instanceof Gauge) metric.reset()
      fill(set, now)
      return registry.metrics()
    },
    end,
  }
}

function make(name: string, { type, help, labels, buckets = [] }: MetricKind, registry: Registry) {
  const parts = { name: `flowmeter_${name}`, help, labelNames: [...labels], registers: [registry] }
  if (type === 'counter') return new Counter(parts)
  return type === 'gauge' ? new Gauge(parts) : new Histogram({ ...parts, buckets: [...buckets] })
}

function fill(set: SetGauge, status: Status): void {
  fillAlive(set, status)
  fillBehind(set, status)
  fillMoney(set, status)
  fillStuck(set, status)
  fillCost(set, status)
  fillBudgets(set, status)
  for (const { lane, fate, count } of status.submissions ?? []) {
    set('transactions', count, { lane, fate })
  }
  if (status.metering !== undefined) fillMetering(set, status.metering)
}

function fillAlive(set: SetGauge, { alarms, workers = [], version }: Status): void {
  const raised = new Set(alarms.map(({ id }) => id))
  for (const { id, severity } of ALARMS) {
    set('alarm', raised.has(id) ? 1 : 0, { alarm: id, severity })
  }
  set('build_info', 1, { version })
  for (const { name, state: current } of workers) {
    for (const state of WORKER_STATES) {
      set('worker_state', state === current ? 1 : 0, { worker: name, state })
    }
  }
}

function fillBehind(set: SetGauge, { records, backlog, sources, policies, batches }: Status): void {
  for (const kind of ['total', 'excluded', 'rejected', 'sealed'] as const) {
    set('records', records[kind], { kind })
  }
  for (const [state, { count, oldestAgeS = 0 }] of Object.entries(backlog)) {
    set('backlog', count, { state })
    set('backlog_oldest_age_seconds', oldestAgeS, { state })
  }
  for (const { name: source, lagS, problem, clockSkewS = 0 } of sources) {
    set('source_lag_seconds', lagS, { source })
    set('source_problem', problem === undefined ? 0 : 1, { source })
    set('source_clock_skew_seconds', clockSkewS, { source })
  }
  if (policies !== undefined) set('policy_epochs_behind', policies.behind)
  set('missed_rounds', Math.max(0, ...batches.map(({ missedRounds = 0 }) => missedRounds)))
}

function fillMoney(set: SetGauge, { conservation, sources, prices = [] }: Status): void {
  for (const [check, difference] of Object.entries(conservation?.checks ?? {})) {
    set('check_difference', Number(difference), { check })
  }
  if (conservation !== undefined) {
    set('checked_timestamp_seconds', Date.parse(conservation.at) / MS)
  }
  for (const [check, { endedAt, unknown }] of Object.entries(conservation?.compared ?? {})) {
    set('check_unknown', Number(unknown), { check })
    if (endedAt !== undefined) {
      set('check_ended_timestamp_seconds', Date.parse(endedAt) / MS, { check })
    }
  }
  for (const { name: source, quarantined = 0 } of sources) {
    set('quarantined_rows', quarantined, { source })
  }
  for (const { token, currency, ageS, paymentsWait } of prices) {
    set('token_price_missing', paymentsWait === undefined ? 0 : 1, { token, currency })
    if (ageS !== undefined) set('token_price_age_seconds', ageS, { token, currency })
  }
}

function fillStuck(set: SetGauge, status: Status): void {
  set('unmapped_records', status.unmapped.records)
  set('refused_entries', status.refusedEntries)
  set('pending_corrections', status.pendingCorrections)
  const causes = status.held.map(({ cause }) => cause)
  for (const cause of new Set(causes)) {
    set('held_entries', causes.filter((one) => one === cause).length, { cause })
  }
  for (const { name: source, twins = 0, held = {} } of status.sources) {
    set('twin_records', twins, { source })
    for (const [reason, rows] of Object.entries(held)) set('held_rows', rows, { source, reason })
  }
}

function fillBudgets(set: SetGauge, { budgets }: Status): void {
  if (budgets === undefined) return
  const { levels, stale, held, keys } = budgets
  for (const [level, count] of Object.entries(levels)) set('accounts', count, { level })
  for (const [reason, count] of Object.entries(held)) set('accounts_held', count, { reason })
  set('accounts_stale', stale)
  for (const sync of ['pending', 'synced', 'failed'] as const) set('keys', keys[sync], { sync })
  set('keys_blocked', keys.blocked)
}

function fillCost(set: SetGauge, { wallets, storage }: Status): void {
  for (const { wallet, balance, runwayDays, spentPerDay, spentPerBatch } of wallets) {
    set('wallet_balance', Number(balance), { wallet })
    if (runwayDays !== undefined) set('wallet_runway_days', runwayDays, { wallet })
    if (spentPerDay !== undefined) set('wallet_spent_per_day', Number(spentPerDay), { wallet })
    if (spentPerBatch !== undefined)
      set('wallet_spent_per_batch', Number(spentPerBatch), { wallet })
  }
  if (storage === undefined) return
  set('store_bytes', storage.storeBytes)
  set('store_free_bytes', storage.freeBytes)
}

/** Sums over the days compared: a key and model may differ on several. */
function fillMetering(
  set: SetGauge,
  { controlTotals, directories, decisions }: MeteringStatus,
): void {
  const sums = new Map<string, { name: MetricName; labels: Labels; value: number }>()
  const add = (name: MetricName, labels: Labels, value: number): void => {
    const key = JSON.stringify([name, labels])
    const sum = sums.get(key) ?? { name, labels, value: 0 }
    sums.set(key, { ...sum, value: sum.value + value })
  }
  for (const { source, differing, differences } of controlTotals) {
    add('control_differing', { source }, differing)
    for (const { apiKey, model, requests, tokens } of differences) {
      const labels = { source, key: apiKey.slice(0, KEY_CHARS), model }
      add('control_difference_requests', labels, Number(requests))
      add('control_difference_tokens', labels, Number(tokens))
    }
  }
  for (const { name, labels, value } of sums.values()) set(name, value, labels)
  for (const { name: directory, entries, problem } of directories) {
    set('directory_entries', entries, { directory })
    set('directory_problem', problem === undefined ? 0 : 1, { directory })
  }
  for (const [verdict, count] of Object.entries(decisions)) {
    set('decided_records', count, { verdict })
  }
}
