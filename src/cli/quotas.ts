import { Command } from 'commander'
import type { AccountNumber } from '../domain/ids.js'
import type { ShownTier } from '../pipeline/shown-budgets.js'
import { told } from './desk-parts.js'
import { accountArgument, type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type Parts = Pick<CliParts, 'budgets' | 'print'>

/** How much accounts may use in an hour and a day, by their tiers. */
export function quotasCommand({ budgets, print }: Parts): Command {
  const command = new Command('quotas').description(
    'How much accounts may use in an hour and a day, by their tiers',
  )
  command
    .command('list')
    .description('The tiers of the settings, and which account was given which')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const tools = await budgets()
      const tiers = tools.tiers()
      const accounts: { readonly account: string; readonly tier: string }[] = []
      for await (const { account, tier } of tools.accounts()) {
        accounts.push({ account: `${account}`, tier })
      }
      if (json) return print(toJson({ tiers, accounts }))
      for (const tier of tiers) print(tierLine(tier))
      for (const { account, tier } of accounts) print(`account ${account}: ${tier}`)
    })
  ordered(command.command('set'))
    .description('Give an account a tier; its keys get the tier’s limits at LiteLLM')
    .argument('<account>', 'its number', accountArgument)
    .argument('<tier>', 'as the list names it')
    .action(async (account: AccountNumber, tier: string, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      await told(self, async () => (await budgets()).setTier(account, tier, order))
      print(options.json ? toJson({ account, tier }) : `account ${account} has tier ${tier}`)
    })
  ordered(command.command('unset'))
    .description('Back to the tier that the settings give to all')
    .argument('<account>', 'its number', accountArgument)
    .action(async (account: AccountNumber, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      await told(self, async () => (await budgets()).unsetTier(account, order))
      const words = `account ${account} has no tier of its own any more`
      print(options.json ? toJson({ account, tier: null }) : words)
    })
  return command
}

function tierLine({ name, isDefault, byok, rpmLimit, tpmLimit, models, ...quota }: ShownTier) {
  const limits = [
    ...limitsOf(quota),
    ...limitsOf(byok).map((limit) => `${limit} with one’s own provider’s key`),
    ...(rpmLimit === null ? [] : [`${rpmLimit} requests a minute`]),
    ...(tpmLimit === null ? [] : [`${tpmLimit} tokens a minute`]),
    ...(models.length === 0 ? [] : [`models ${models.join(' ')}`]),
  ]
  const text = limits.length === 0 ? 'no limit' : limits.join(', ')
  return `${name}${isDefault ? ' (of all that have none)' : ''}: ${text}`
}

function limitsOf({ requestsAnHour, requestsADay, tokensADay }: ShownTier['byok']): string[] {
  return [
    ...(requestsAnHour === null ? [] : [`${requestsAnHour} requests an hour`]),
    ...(requestsADay === null ? [] : [`${requestsADay} requests a day`]),
    ...(tokensADay === null ? [] : [`${tokensADay} tokens a day`]),
  ]
}
