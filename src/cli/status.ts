import { Command } from 'commander'
import type { Status } from '../pipeline/status.js'
import { type CliParts, toJson } from './parts.js'

/** Reads the store, so it answers whether the daemon runs or not. */
export function statusCommand({
  readStatus,
  print,
}: Pick<CliParts, 'readStatus' | 'print'>): Command {
  return new Command('status')
    .description('Show how it stands: sources, backlog, batches, what is wrong')
    .option('--json', 'print one JSON object, the same as GET /status')
    .action(async (options: { json?: true }) => {
      const status = await readStatus()
      print(options.json ? toJson(status) : toText(status))
    })
}

function toText(status: Status): string {
  const { records, unmapped, lastBatch, lastSettled, conservation } = status
  const sources = status.sources.map(({ name, readUntil, lagS, problem }) => {
    const state = problem === undefined ? 'ok' : `${problem.code}: ${problem.message}`
    return `source ${name}: read until ${readUntil} (${lagS} s ago), ${state}`
  })
  const waiting = Object.entries(status.backlog)
    .filter(([, { count }]) => count > 0)
    .map(([state, { count, oldestAgeS = 0 }]) => `${state} ${count} (oldest ${oldestAgeS} s)`)
  const payers = unmapped.payers.map(
    ({ payer, reason, records: count }) => `  "${payer}": ${count} records; ${reason}`,
  )
  const checks = Object.entries(conservation?.checks ?? {})
    .filter(([, difference]) => difference !== '0')
    .map(([check, difference]) => `  ${check}: ${difference}`)
  const checked = conservation === undefined ? 'not made yet' : checks.length === 0 ? 'all 0' : ''
  return [
    ...status.alarms.map(
      ({ id, severity, says, runbook }) => `${severity} ${id}: ${says} (${runbook})`,
    ),
    ...sources,
    `records: ${records.total}, of them ${records.sealed} in batches, ${records.excluded} excluded; ` +
      `${records.rejected} rows rejected`,
    `waiting: ${waiting.length === 0 ? 'nothing' : waiting.join(', ')}`,
    `unmapped: ${unmapped.records} records`,
    ...payers,
    lastBatch === undefined
      ? 'last batch: none'
      : `last batch: ${lastBatch.seq}, ${lastBatch.state}, root ${lastBatch.root}`,
    lastSettled === undefined
      ? 'last settled: none'
      : `last settled: ${lastSettled.seq} at ${lastSettled.at}`,
    ...status.held.map(
      ({ account, periodStart, why }) => `held: ${account}, ${periodStart}: ${why}`,
    ),
    ...status.parked.map(({ seq, reason }) => `parked: batch ${seq}: ${reason}`),
    ...controlLines(status),
    `checks: ${checked}`,
    ...checks,
  ].join('\n')
}

/** Days on which our rows are not what the source has added up by itself. */
function controlLines({ metering }: Status): string[] {
  const differing = (metering?.controlTotals ?? []).filter((day) => day.differing > 0)
  return differing.map(
    ({ source, day, differing: count }) =>
      `control totals: ${source} ${day}: ${count} keys and models differ (flowmeter audit source)`,
  )
}
