import { Command, InvalidArgumentError } from 'commander'
import type { AccountNumber } from '../domain/ids.js'
import {
  formatDollars,
  type KeyLimits,
  type Microdollars,
  parseDollars,
} from '../domain/key-limits.js'
import type { ShownKey, ShownSync } from '../pipeline/shown-keys.js'
import type { GatewayKey } from '../ports/key-gateway.js'
import { told } from './desk-parts.js'
import { FOUND_WRONG } from './exit-code.js'
import { accountArgument, type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type Parts = Pick<CliParts, 'keys' | 'print'>

/** Null would be taken for a missing value by commander. */
type OrNone<Value> = Value | 'none'

interface LimitOptions {
  readonly maxBudget?: OrNone<Microdollars>
  readonly budgetDuration?: string
  readonly rpm?: OrNone<number>
  readonly tpm?: OrNone<number>
  readonly model?: readonly string[]
  readonly anyModel?: true
}

interface AccountOption {
  readonly account?: AccountNumber
}

/** Keys of LiteLLM whose use a vault pays: made, limited and blocked here, followed there. */
export function keysCommand(parts: Parts): Command {
  const command = new Command('keys').description('LiteLLM keys of accounts, and their limits')
  addMaking(command, parts)
  addLooking(command, parts)
  addChanging(command, parts)
  return command
}

function addMaking(command: Command, { keys, print }: Parts): void {
  const limited = (one: Command) => limitOptions(ordered(one))
  limited(command.command('create'))
    .description('Make a key and show it, this once: it is kept nowhere')
    .argument('<account>', 'whose vault pays', accountArgument)
    .argument('<name>', 'what its owner calls it: a-z, 0-9 and -')
    .requiredOption('--user <id>', 'the LiteLLM user; one that the mapping sends to the account')
    .action(
      async (
        account: AccountNumber,
        name: string,
        options: OrderOptions & LimitOptions & { user: string },
        self: Command,
      ) => {
        const order = orderOf(options, self)
        const wish = { account, name, userId: options.user, limits: limitsOf(options) }
        const made = await told(self, async () => (await keys()).create(wish, order))
        printSecret(made, options, print)
      },
    )
  ordered(command.command('rotate'))
    .description('Put another key in the place of one, with its limits and what it spent')
    .argument('<key>', 'its alias or id')
    .action(async (named: string, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      printSecret(await told(self, async () => (await keys()).rotate(named, order)), options, print)
    })
  ordered(command.command('adopt'))
    .description('Manage a key that was made in LiteLLM, as it is there now')
    .argument('<key>', 'its alias in LiteLLM, or its SHA-256')
    .requiredOption('--account <number>', 'whose vault pays', accountArgument)
    .action(
      async (named: string, options: OrderOptions & { account: AccountNumber }, self: Command) => {
        const order = orderOf(options, self)
        const work = async () => (await keys()).adopt(named, options.account, order)
        printKey(await told(self, work), options, print)
      },
    )
}

function addLooking(command: Command, { keys, print }: Parts): void {
  command
    .command('list')
    .description('Keys with their limits and how far LiteLLM follows')
    .option('--account <number>', 'of this account alone', accountArgument)
    .option('--deleted', 'those that were deleted, too')
    .option('--json', 'print one JSON object a line')
    .action(async (options: AccountOption & { deleted?: true; json?: true }) => {
      const choice = { account: options.account, withDeleted: options.deleted === true }
      let count = 0
      for await (const key of (await keys()).list(choice)) {
        count += 1
        print(options.json ? toJson(key) : lineOf(key))
      }
      if (count === 0 && !options.json) {
        print('There is none: flowmeter keys create <account> <name> --user <id>')
      }
    })
  command
    .command('show')
    .description('One key: its limits, why it is blocked, how far LiteLLM follows')
    .argument('<key>', 'its alias or id')
    .option('--json', 'print one JSON object')
    .action(async (named: string, options: { json?: true }, self: Command) => {
      printKey(await told(self, async () => (await keys()).show(named)), options, print)
    })
  command
    .command('sync')
    .description('Compare with LiteLLM now; exit code 1 where it does not follow')
    .argument('[key]', 'its alias or id; all of them unless said')
    .option('--json', 'print one JSON object')
    .action(async (named: string | undefined, options: { json?: true }, self: Command) => {
      const sync = await told(self, async () => (await keys()).sync(named))
      for (const line of options.json ? [toJson(sync)] : syncLines(sync)) print(line)
      if (sync.failed + sync.pending > 0) self.error('error: LiteLLM does not follow', FOUND_WRONG)
    })
  command
    .command('unmanaged')
    .description('Keys in LiteLLM of users with managed keys that no hold would stop')
    .option('--user <id>', 'of this LiteLLM user')
    .option('--json', 'print one JSON object a line')
    .action(async (options: { user?: string; json?: true }) => {
      let count = 0
      for await (const key of (await keys()).unmanaged(options.user)) {
        count += 1
        print(options.json ? toJson(key) : unmanagedLine(key))
      }
      if (count === 0 && !options.json) print('There is none.')
    })
}

function addChanging(command: Command, { keys, print }: Parts): void {
  limitOptions(ordered(command.command('update')))
    .description('Change limits; what is not said stays')
    .argument('<key>', 'its alias or id')
    .action(async (named: string, options: OrderOptions & LimitOptions, self: Command) => {
      const order = orderOf(options, self)
      const wish = limitsOf(options)
      if (Object.keys(wish).length === 0) self.error('error: say a limit', { exitCode: 2 })
      printKey(
        await told(self, async () => (await keys()).update(named, wish, order)),
        options,
        print,
      )
    })
  for (const verb of ['block', 'unblock'] as const) {
    const isHeld = verb === 'block'
    ordered(command.command(verb))
      .description(isHeld ? 'Block a key, or an account’s' : 'Lift what `keys block` has set')
      .argument('[key]', 'its alias or id')
      .option('--account <number>', 'all keys of this account', accountArgument)
      .action(
        async (named: string | undefined, options: OrderOptions & AccountOption, self: Command) => {
          const order = orderOf(options, self)
          const { account } = options
          if (named !== undefined && account === undefined) {
            const work = async () => (await keys())[verb](named, order)
            printKey(await told(self, work), options, print)
          } else if (account !== undefined && named === undefined) {
            const isChanged = await (await keys()).holdAccount(account, isHeld, order)
            printAccount({ account, isHeld, isChanged }, options, print)
          } else {
            self.error('error: name a key, or say --account <number>', { exitCode: 2 })
          }
        },
      )
  }
  ordered(command.command('delete'))
    .description('Delete a key in LiteLLM, for good')
    .argument('<key>', 'its alias or id')
    .action(async (named: string, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      printKey(await told(self, async () => (await keys()).delete(named, order)), options, print)
    })
}

function limitOptions(command: Command): Command {
  return command
    .option('--max-budget <dollars>', 'such as 12.50, or none', dollars)
    .option('--budget-duration <time>', 'then it counts from 0 again: 30d, 12h, 1mo, or none')
    .option('--rpm <number>', 'requests a minute, or none', rate)
    .option('--tpm <number>', 'tokens a minute, or none', rate)
    .option('--model <name>', 'may open this model; may be said again', models)
    .option('--any-model', 'may open every model')
}

function limitsOf(options: LimitOptions): Partial<KeyLimits> {
  const { maxBudget, budgetDuration, rpm, tpm, model, anyModel } = options
  return {
    ...(maxBudget === undefined ? {} : { maxBudget: limitOf(maxBudget) }),
    ...(budgetDuration === undefined ? {} : { budgetDuration: limitOf(budgetDuration) }),
    ...(rpm === undefined ? {} : { rpmLimit: limitOf(rpm) }),
    ...(tpm === undefined ? {} : { tpmLimit: limitOf(tpm) }),
    ...(model === undefined ? {} : { models: [...new Set(model)] }),
    ...(anyModel === undefined ? {} : { models: [] }),
  }
}

function limitOf<Value>(said: OrNone<Value>): Value | null {
  return said === 'none' ? null : (said as Value)
}

function dollars(text: string): OrNone<Microdollars> {
  const amount = text === 'none' ? text : parseDollars(text)
  if (amount !== undefined) return amount
  throw new InvalidArgumentError('dollars with up to 6 decimals, such as 12.50, or none')
}

function rate(text: string): OrNone<number> {
  if (text === 'none') return text
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('a whole number, or none')
}

function models(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

interface JsonOption {
  readonly json?: true
}

function printSecret(
  { secret, key }: { readonly secret: string; readonly key: ShownKey },
  { json }: JsonOption,
  print: Parts['print'],
): void {
  const lines = [secret, `${lineOf(key)}. It is not shown again.`]
  for (const line of json ? [toJson({ key: secret, ...key })] : lines) print(line)
}

function printKey(key: ShownKey, { json }: JsonOption, print: Parts['print']): void {
  print(json ? toJson(key) : lineOf(key))
  if (json) return
  for (const { reason, text, until } of key.holds) {
    print(`  held by ${reason}: ${text}${until === null ? '' : ` (until ${until})`}`)
  }
  if (key.blockedBy === 'gateway') print('  blocked in LiteLLM by somebody else: unblock it there')
  if (key.problem !== null) print(`  LiteLLM does not follow: ${key.problem}`)
}

function printAccount(
  { account, isHeld, isChanged }: { account: AccountNumber; isHeld: boolean; isChanged: boolean },
  { json }: JsonOption,
  print: Parts['print'],
): void {
  const state = isHeld ? 'blocked' : 'no longer blocked by `keys block`'
  const line = `account ${account} is ${state}${isChanged ? '' : ', as it was'}`
  print(json ? toJson({ account, isHeld, isChanged }) : line)
}

function lineOf(key: ShownKey): string {
  const { alias, id, account, userId, syncStatus, state, maxBudget, budgetDuration } = key
  const budget = maxBudget === null ? 'no budget' : `$${maxBudget}`
  const per = budgetDuration === null ? '' : ` per ${budgetDuration}`
  const rates = `${key.rpmLimit ?? 'any'} rpm, ${key.tpmLimit ?? 'any'} tpm`
  const opens = key.models.length === 0 ? 'any model' : key.models.join(' ')
  const block = key.isBlocked === true || key.holds.length > 0 ? ', blocked' : ''
  const name = alias === '' ? id : alias
  const shownState = state === 'wanted' ? '' : `, ${state}`
  return `${name} of account ${account} (${userId}): ${budget}${per}, ${rates}, ${opens}; ${syncStatus}${shownState}${block}`
}

function syncLines({ failing, ...sync }: ShownSync): string[] {
  const { synced, pending, failed, blocked, foreignBlocked } = sync
  const counts = `${synced} as wanted, ${pending} wait, ${failed} failed`
  return [
    `${counts}; ${blocked} blocked, ${foreignBlocked} of them in LiteLLM by somebody else`,
    ...failing.map(({ alias, id, problem }) => `  ${alias === '' ? id : alias}: ${problem}`),
  ]
}

function unmanagedLine({ id, alias, userId, limits, isBlocked }: GatewayKey): string {
  const budget = limits?.maxBudget ?? null
  const may = budget === null ? 'no budget' : `$${formatDollars(budget)}`
  const name = alias === '' ? id : `${alias} (${id})`
  return `${name} of ${userId}: ${may}${isBlocked ? ', blocked' : ''}; flowmeter keys adopt ${id} --account <number>`
}
