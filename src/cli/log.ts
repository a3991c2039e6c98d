import { Command } from 'commander'
import type { StoredLogEntry } from '../ports/operator-log.js'
import { FOUND_WRONG } from './exit-code.js'
import { type CliParts, toJson } from './parts.js'

interface Options {
  readonly verify?: true
  readonly json?: true
}

/** What operators did. Each entry is bound to the one before, and batches name the newest. */
export function logCommand({ operations, print }: Pick<CliParts, 'operations' | 'print'>): Command {
  return new Command('log')
    .description('What operators did: who, when, why')
    .option('--verify', 'compute every hash anew, and look for each that a batch names')
    .option('--json', 'print one JSON object')
    .action(async (options: Options, command: Command) => {
      const tools = await operations()
      const entries = await tools.log()
      const faults = options.verify ? await tools.verifyLog() : undefined
      if (options.json) print(toJson({ entries, ...(faults === undefined ? {} : { faults }) }))
      else {
        for (const entry of entries) print(lineOf(entry))
        if (entries.length === 0) print('Nothing was done yet.')
        for (const { at, what } of faults ?? []) print(`${at}: ${what}`)
        if (faults?.length === 0) print('Every hash is right, and so is each that a batch names.')
      }
      if (faults === undefined || faults.length === 0) return
      command.error(`error: the log has ${faults.length} faults`, FOUND_WRONG)
    })
}

function lineOf({ id, atMs, who, verb, arguments: args, reason }: StoredLogEntry): string {
  const given = Object.entries(args).map(([name, value]) => `${name} ${value}`)
  const what = [verb, ...given].join(', ')
  return `${id} ${new Date(atMs).toISOString()} ${who}: ${what}; "${reason}"`
}
