import { Command } from 'commander'
import { type AccountNumber, type BatchId, batchName } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Parked } from '../pipeline/parked.js'
import { told } from './desk-parts.js'
import {
  accountArgument,
  batchNumber,
  type OrderOptions,
  ordered,
  orderOf,
  periodArgument,
} from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type ParkedParts = Pick<CliParts, 'operations' | 'print'>

/** What waits for an operator, and what can be done about it. */
export function parkedCommand({ operations, print }: ParkedParts): Command {
  const parked = new Command('parked').description('What stopped, why, and how it goes on')
  parked
    .command('list')
    .description('Parked batches, entries that Flow refused, and what is held before sealing')
    .option('--json', 'print one JSON object')
    .action(async (options: OrderOptions) => {
      const found = await (await operations()).parked()
      print(options.json ? toJson(found) : linesOf(found).join('\n'))
    })
  const verbs = [
    ['retry', 'A batch goes on from where it stopped'],
    ['skip', 'Give a batch up whose entries are all stated by later ones'],
  ] as const
  for (const [verb, description] of verbs) {
    ordered(parked.command(verb))
      .description(description)
      .argument('<batch>', 'its number', batchNumber)
      .action(async (id: BatchId, options: OrderOptions, command: Command) => {
        const order = orderOf(options, command)
        const tools = await operations()
        await told(command, () =>
          verb === 'retry' ? tools.retry(id, order) : tools.skip(id, order),
        )
        print(
          options.json
            ? toJson({ batch: batchName(id), verb })
            : `batch ${batchName(id)}: ${verb}, noted`,
        )
      })
  }
  const entryVerbs = [
    ['retry-entry', 'Have an entry that Flow refused stated once more'],
    ['skip-entry', 'Forget an entry that has nothing left to charge for'],
  ] as const
  for (const [verb, description] of entryVerbs) {
    entry(ordered(parked.command(verb)).description(description)).action(
      async (
        account: AccountNumber,
        periodStart: number,
        options: OrderOptions,
        command: Command,
      ) => {
        const key = { accountNumber: account, periodStart }
        const order = orderOf(options, command)
        const tools = await operations()
        const isRetry = verb === 'retry-entry'
        await told(command, () =>
          isRetry ? tools.release(key, 'parked retry-entry', order) : tools.skipEntry(key, order),
        )
        print(options.json ? toJson({ ...key, verb }) : `${nameOf(key)}: ${verb}, noted`)
      },
    )
  }
  return parked
}

/** Charges beyond a bound, which wait before they are sealed. */
export function heldCommand({ operations, print }: ParkedParts): Command {
  const held = new Command('held').description('Charges that wait before sealing, being so large')
  held
    .command('list')
    .description('What waits, since when and why')
    .option('--json', 'print one JSON object')
    .action(async (options: OrderOptions) => {
      const { stopped } = await (await operations()).parked()
      if (options.json) return print(toJson({ held: stopped }))
      for (const stop of stopped) print(`${nameOf(stop)}: ${stop.why}`)
      if (stopped.length === 0) print('Nothing is held.')
    })
  entry(
    ordered(held.command('release')).description('Let it be sealed, up to what it costs now'),
  ).action(
    async (
      account: AccountNumber,
      periodStart: number,
      options: OrderOptions,
      command: Command,
    ) => {
      const key = { accountNumber: account, periodStart }
      const order = orderOf(options, command)
      await told(command, async () => (await operations()).release(key, 'held release', order))
      print(options.json ? toJson({ ...key, released: true }) : `${nameOf(key)}: released`)
    },
  )
  return held
}

function entry(command: Command): Command {
  return command
    .argument('<account>', 'its number', accountArgument)
    .argument('<period>', 'its start, such as 2026-11-01', periodArgument)
}

function linesOf({ batches, refused, stopped }: Parked): string[] {
  const lines = [
    ...batches.map(({ seq, reason, onlyHere }) => {
      const rest =
        onlyHere.length === 0
          ? 'every entry is stated by a later batch: it can be skipped'
          : `${onlyHere.length} entries are stated by no later one`
      return `batch ${seq}: ${reason}; ${rest}`
    }),
    ...refused.map((one) => `${nameOf(one)}: ${one.result} (batch ${one.seq}); ${one.advice}`),
    ...stopped.map((stop) => `${nameOf(stop)}: held, ${stop.why} (flowmeter held release)`),
  ]
  return lines.length === 0 ? ['Nothing is parked, refused or held.'] : lines
}

function nameOf({ accountNumber: account, periodStart }: EntryKey): string {
  const since = new Date(periodStart * 1000).toISOString().slice(0, 10)
  return `account ${account}, period of ${since}`
}
