import { Command, InvalidArgumentError, Option } from 'commander'
import { ROLES, type Role, type Scope, scopeText } from '../domain/access.js'
import type { AccountNumber } from '../domain/ids.js'
import type { AccessToken } from '../ports/access-tokens.js'
import { told } from './desk-parts.js'
import { accountArgument, type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type Parts = Pick<CliParts, 'tokens' | 'print'>

interface CreateOptions extends OrderOptions {
  readonly role: Role
  readonly account?: readonly AccountNumber[]
  readonly allAccounts?: true
  readonly expires: number | 'never'
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const DAYS_MAX = 3_650

/** Tokens for the HTTP API: a customer's for their own account, or one for a program. */
export function tokensCommand({ tokens, print }: Parts): Command {
  const command = new Command('tokens').description('Who may ask over HTTP, and for which accounts')
  ordered(command.command('create'))
    .description('Make a token and show it, this once: only its hash is kept')
    .argument('<label>', 'whose it is, for the list and the log')
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).default('read'))
    .option('--account <number>', 'for this account; may be said again', accounts)
    .option('--all-accounts', 'for every account')
    .option('--expires <time>', 'after so long, such as 90d or 12h; or never', life, 90 * DAY_MS)
    .action(async (label: string, options: CreateOptions, self: Command) => {
      const scope = scopeOf(options, self)
      const order = orderOf(options, self)
      const lifeMs = options.expires === 'never' ? undefined : options.expires
      const { id, token } = await told(self, async () =>
        (await tokens()).create({ label, role: options.role, scope, lifeMs }, order),
      )
      const rest = { id, label, role: options.role, accounts: scopeText(scope) }
      if (options.json) return print(toJson({ token, ...rest }))
      print(token)
      print(`${id}: ${options.role} of ${scopeText(scope)}. It is not shown again.`)
    })
  command
    .command('list')
    .description('All there were, oldest first; never the tokens themselves')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }) => {
      const tools = await tokens()
      const all = await tools.list()
      if (options.json) return print(toJson({ tokens: all.map(shown) }))
      for (const token of all) print(lineOf(token, tools.nowMs()))
      if (all.length === 0)
        print('There is none: flowmeter tokens create <label> --account <number>')
    })
  ordered(command.command('revoke'))
    .description('Let a token in no more, from now on')
    .argument('<id>', 'as the list names it')
    .action(async (id: string, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      // Somebody may paste all of it: its secret half must not go into any log.
      const [name = ''] = /^fm_[0-9a-f]{12}/.exec(id) ?? []
      if (name === '') self.error('error: a token is named as fm_ and 12 digits', { exitCode: 2 })
      await told(self, async () => (await tokens()).revoke(name, order))
      print(options.json ? toJson({ id: name, revoked: true }) : `${name} is revoked`)
    })
  return command
}

function scopeOf({ account, allAccounts }: CreateOptions, command: Command): Scope {
  if ((account === undefined) === (allAccounts === undefined)) {
    command.error('error: say --account <number>, or --all-accounts', { exitCode: 2 })
  }
  return account === undefined ? 'all' : [...new Set(account)]
}

function accounts(text: string, before: readonly AccountNumber[] = []): readonly AccountNumber[] {
  return [...before, accountArgument(text)]
}

function life(text: string): number | 'never' {
  if (text === 'never') return text
  const [, count = '', unit] = /^([1-9]\d{0,4})([dh])$/.exec(text) ?? []
  const ms = Number(count) * (unit === 'h' ? HOUR_MS : DAY_MS)
  if (unit !== undefined && ms <= DAYS_MAX * DAY_MS) return ms
  throw new InvalidArgumentError(`never, or a time such as 90d or 12h, up to ${DAYS_MAX}d`)
}

function shown({ hash: _hash, scope, ...token }: AccessToken) {
  return { ...token, accounts: scope === 'all' ? scope : scope.map(String) }
}

function lineOf(token: AccessToken, nowMs: number): string {
  const { id, label, role, scope, expiresAtMs, revokedAtMs, lastUsedAtMs } = token
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 16)
  const until = expiresAtMs === undefined ? 'never expires' : `until ${day(expiresAtMs)}`
  const state =
    revokedAtMs !== undefined
      ? `revoked ${day(revokedAtMs)}`
      : expiresAtMs !== undefined && expiresAtMs <= nowMs
        ? `expired ${day(expiresAtMs)}`
        : until
  const used = lastUsedAtMs === undefined ? 'never used' : `used ${day(lastUsedAtMs)}`
  return `${id} "${label}": ${role} of ${scopeText(scope)}, ${state}, ${used}`
}
