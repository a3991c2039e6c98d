import { Gauge, type Registry } from 'prom-client'
import type { MeteringStatus } from '../pipeline/metering-status.js'

/** Enough to tell keys apart, and no more of the hash than a label needs. */
const KEY_CHARS = 12

/** Gauges of directories, the aggregation rule and control totals. Returns what fills them. */
export function meteringGauges(registry: Registry): (status: MeteringStatus) => void {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `flowmeter_${name}`, help, labelNames, registers: [registry] })
  const labels = ['source', 'key', 'model']
  const requests = gauge(
    'control_difference_requests',
    'Ours minus the source’s own, of the days compared',
    labels,
  )
  const tokens = gauge(
    'control_difference_tokens',
    'Ours minus the source’s own, of the days compared',
    labels,
  )
  const differing = gauge(
    'control_differing',
    'Keys and models that differ, of the days compared',
    ['source'],
  )
  const entries = gauge('directory_entries', 'Payers with an account', ['directory'])
  const broken = gauge('directory_problem', '1 while a directory cannot be read', ['directory'])
  const decisions = gauge(
    'decided_records',
    'Records that the aggregation rule did not let count in full',
    ['verdict'],
  )
  return (status) => {
    for (const one of [requests, tokens, differing, entries, broken]) one.reset()
    for (const { source, differing: count, differences } of status.controlTotals) {
      differing.inc({ source }, count)
      for (const difference of differences) {
        const { apiKey, model } = difference
        const names = { source, key: apiKey.slice(0, KEY_CHARS), model }
        requests.inc(names, Number(difference.requests))
        tokens.inc(names, Number(difference.tokens))
      }
    }
    for (const { name, entries: count, problem } of status.directories) {
      entries.set({ directory: name }, count)
      broken.set({ directory: name }, problem === undefined ? 0 : 1)
    }
    for (const [verdict, count] of Object.entries(status.decisions))
      decisions.set({ verdict }, count)
  }
}
