import { Command } from 'commander'
import type { LaneKeys } from '../ports/desk.js'
import { type DeskParts, told } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type FlowParts = Pick<CliParts, 'print'> & Pick<DeskParts, 'ensureLaneKeys'>

const COUNT_MAX = 100

/** What the daemon's own account on Flow needs. */
export function flowCommand(parts: FlowParts): Command {
  const flow = new Command('flow').description('The daemon’s own account on Flow')
  flow.addCommand(addKeysCommand(parts))
  return flow
}

function addKeysCommand({ print, ensureLaneKeys }: FlowParts): Command {
  return new Command('add-keys')
    .description('Have so many keys on the daemon’s account: one transaction at a time for each')
    .requiredOption('--count <number>', `how many in all, 1 to ${COUNT_MAX}`)
    .option('--json', 'print one JSON object')
    .action(async (options: { readonly count: string; readonly json?: true }, command: Command) => {
      const count = /^\d{1,3}$/.test(options.count) ? Number(options.count) : 0
      if (count < 1 || count > COUNT_MAX) {
        const message = `error: "${options.count}" is no number from 1 to ${COUNT_MAX}`
        command.error(message, { exitCode: 2 })
      }
      const keys = await told(command, () => ensureLaneKeys(count))
      print(options.json ? toJson(keys) : toText(keys))
    })
}

function toText({ address, indexes, added }: LaneKeys): string {
  const setting = `FLOW_KEY_INDEXES=${indexes.join(',')}`
  return `${address} has ${indexes.length} keys, ${added} of them new. Set ${setting}`
}
