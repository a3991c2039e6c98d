import { Command } from 'commander'
import type { SavedMessage } from '../ports/notices.js'
import type { Told } from '../ports/notifier.js'
import { FOUND_WRONG } from './exit-code.js'
import { type CliParts, toJson } from './parts.js'

export interface Tried {
  readonly target: string
  readonly kind: string
  readonly id: string
  readonly told: Told
}

export interface NoticeTools {
  /** Newest first. */
  list(limit: number): Promise<readonly SavedMessage[]>
  /** One by its id, or all that were given up. Returns the ids of those that are due again. */
  resend(which: string | 'dead'): Promise<readonly string[]>
  /** One message to each target, or to one. */
  test(target: string | undefined): Promise<readonly Tried[]>
}

const SHOWN = 50

/** What people are told of alarms, and whether it arrived. */
export function noticesCommand({ notices, print }: Pick<CliParts, 'notices' | 'print'>): Command {
  const command = new Command('notices').description(
    'Messages about alarms to webhooks and Slack: which, and whether they arrived',
  )
  command
    .command('list')
    .description('The newest, with what came of them')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const messages = await (await notices()).list(SHOWN)
      if (json) return print(toJson({ messages }))
      for (const message of messages) print(lineOf(message))
      if (messages.length === 0) print('Nobody was told anything yet.')
    })
  command
    .command('resend')
    .description('Send a message again: the daemon does, with the same id')
    .argument('[id]', 'as the list names it')
    .option('--dead', 'all that were given up')
    .option('--json', 'print one JSON object')
    .action(
      async (id: string | undefined, options: { dead?: true; json?: true }, self: Command) => {
        if ((id === undefined) === (options.dead === undefined)) {
          self.error('error: name a message, or say --dead', { exitCode: 2 })
        }
        const due = await (await notices()).resend(id ?? 'dead')
        if (id !== undefined && due.length === 0) {
          self.error(`error: there is no message ${id}: see flowmeter notices list`, {
            exitCode: 2,
          })
        }
        if (options.json) return print(toJson({ due }))
        print(due.length === 0 ? 'None was given up.' : `${due.length} will be sent again.`)
      },
    )
  command
    .command('test')
    .description('Send one message to each target now, and say what came back')
    .argument('[target]', 'one alone, by its name in the settings')
    .option('--json', 'print one JSON object')
    .action(async (target: string | undefined, { json }: { json?: true }, self: Command) => {
      const tried = await (await notices()).test(target)
      if (tried.length === 0) {
        const none = target === undefined ? 'no target' : `no target ${target}`
        self.error(`error: notify in flowmeter.config.json has ${none}`, { exitCode: 2 })
      }
      if (json) print(toJson({ tried }))
      else for (const one of tried) print(triedLine(one))
      if (tried.some(({ told }) => !told.ok)) self.error('error: not all were told', FOUND_WRONG)
    })
  return command
}

function lineOf({ id, target, state, tries, madeAtMs, problem, notices }: SavedMessage): string {
  const told = notices.map(({ alarm, change }) => `${alarm} ${change}`).join(', ')
  const why = problem === undefined ? '' : `; ${problem}`
  return `${new Date(madeAtMs).toISOString()} ${id} ${target}: ${state}, ${tries} tries${why}; ${told}`
}

function triedLine({ target, kind, id, told }: Tried): string {
  const result = told.ok ? `told, it answered ${told.answer}` : `not told: ${told.why}`
  return `${target} (${kind}): ${result} (${id})`
}
