import { Command, InvalidArgumentError } from 'commander'
import { type CliParts, toJson } from './parts.js'

const SHOWN = 100
const SHOWN_MAX = 100_000

/** What the operator's own rule of what counts has decided. */
export function decisionsCommand({
  metering,
  print,
}: Pick<CliParts, 'metering' | 'print'>): Command {
  return new Command('decisions')
    .description('Show records that your aggregation rule excluded, capped or could not decide')
    .option('--limit <n>', 'the newest so many', count, SHOWN)
    .option('--json', 'print one JSON object')
    .action(async ({ limit, json }: { limit: number; json?: true }) => {
      const rows = await (await metering()).decisions(limit)
      if (json)
        return print(toJson({ decisions: rows.map((one) => ({ ...one.key, ...one.decision })) }))
      for (const { key, decision } of rows) {
        const reason = 'reason' in decision ? decision.reason : ''
        print(`${key.source}/${key.requestId}: ${decision.verdict}; ${reason}`)
      }
      if (rows.length === 0) print('Every record counts in full.')
    })
}

function count(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= SHOWN_MAX) return value
  throw new InvalidArgumentError(`a number from 1 to ${SHOWN_MAX}`)
}
