import { Command, InvalidArgumentError } from 'commander'
import { readSubject } from '../domain/budget-subject.js'
import { parseWad, type Wad } from '../domain/money.js'
import type { ShownBudget, ShownQuotaLeft, ShownRunway } from '../pipeline/shown-budgets.js'
import type { BudgetSubject } from '../ports/runways.js'
import { told } from './desk-parts.js'
import { accountArgument, type OrderOptions, ordered, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

type Parts = Pick<CliParts, 'budgets' | 'print'>

interface SetOptions extends OrderOptions {
  readonly hard: Wad
  readonly soft?: Wad
  readonly currency: string
  readonly days: number
}

const SUBJECT = 'an account, 7-byok for its own provider’s keys, or operator for all together'

/** What accounts may spend, and how long what they have lasts. */
export function budgetsCommand({ budgets, print }: Parts): Command {
  const command = new Command('budgets').description(
    'What accounts may spend, and how long what they have lasts',
  )
  command
    .command('list')
    .description('Every budget, with what is spent of it')
    .option('--json', 'print one JSON object a line')
    .action(async ({ json }: { json?: true }) => {
      let count = 0
      for await (const { subject, ...budget } of (await budgets()).list()) {
        count += 1
        print(json ? toJson({ subject, ...budget }) : `${subject}: ${budgetLine(budget)}`)
      }
      if (count === 0 && !json) print('There is none: flowmeter budgets set <account> --hard 1000')
    })
  command
    .command('show')
    .description('How an account stands: what is left, for how long, and why its keys are blocked')
    .argument('<account>', SUBJECT, subjectArgument)
    .option('--json', 'print one JSON object')
    .action(async (subject: BudgetSubject, { json }: { json?: true }, self: Command) => {
      const tools = await budgets()
      if (typeof subject !== 'bigint') {
        const budget = await tools.budget(subject)
        return print(json ? toJson({ budget }) : budget === null ? 'no budget' : budgetLine(budget))
      }
      const runway = await tools.runway(subject)
      if (runway === undefined) {
        const why = 'it has no keys, or the daemon has not come to it: flowmeter keys list'
        return self.error(`error: account ${subject} was not looked at: ${why}`, { exitCode: 2 })
      }
      if (json) return print(toJson(runway))
      for (const line of runwayLines(runway)) print(line)
    })
  ordered(command.command('set'))
    .description('Give a budget: at its hard limit keys are blocked until the window turns')
    .argument('<account>', SUBJECT, subjectArgument)
    .requiredOption('--hard <amount>', 'keys are blocked from it on', amountArgument)
    .option('--soft <amount>', 'somebody is told from it on', amountArgument)
    .option('--days <number>', 'how long a window is, in whole days of UTC', daysArgument, 30)
    .option('--currency <name>', 'of the plan', 'USD')
    .action(async (subject: BudgetSubject, options: SetOptions, self: Command) => {
      const order = orderOf(options, self)
      const { hard, soft, currency, days } = options
      const tools = await budgets()
      await told(self, () => tools.set(subject, { hard, soft, currency, days }, order))
      const budget = await tools.budget(subject)
      print(
        options.json ? toJson({ subject, budget }) : `${subject}: ${budget && budgetLine(budget)}`,
      )
    })
  ordered(command.command('unset'))
    .description('Take a budget away; keys keep the limits that they have at LiteLLM')
    .argument('<account>', SUBJECT, subjectArgument)
    .action(async (subject: BudgetSubject, options: OrderOptions, self: Command) => {
      const order = orderOf(options, self)
      await told(self, async () => (await budgets()).unset(subject, order))
      print(options.json ? toJson({ subject, budget: null }) : `${subject} has no budget any more`)
    })
  return command
}

export function budgetLine(budget: ShownBudget): string {
  const { hard, soft, currency, days, spent, remaining, until, level, usedUpOn } = budget
  const today = budget.spentToday === null ? '' : ` (${budget.spentToday} today)`
  const softly = soft === null ? '' : `, soft ${soft}`
  const terms = `${hard} ${currency} in ${days} days${softly}`
  if (spent === null) return `${terms}; not looked at yet`
  const forecast = usedUpOn === null ? '' : `, used up on ${usedUpOn.expected}`
  const reached = level === 'ok' ? '' : ` (${level} limit reached)`
  return `${terms}; ${spent} spent${today}, ${remaining} to go until ${until}${forecast}${reached}`
}

function runwayLines(runway: ShownRunway): string[] {
  const { account, level, currency, available, reserve, exposure, exposureAMinute } = runway
  const { timeLeftS, burnPerHour, burnWindowS, credits, tier, quota, holds, problem } = runway
  const left = timeLeftS === null ? 'no end at this pace' : `${hours(timeLeftS)} left`
  const worst = exposure === null ? 'without bound' : `${exposure} ${currency}`
  const more = exposureAMinute === null ? '' : `, ${exposureAMinute} more a minute without LiteLLM`
  return [
    `account ${account}: ${level}, ${left}`,
    `  available ${available} ${currency}, of it kept back ${reserve}` +
      (credits === null ? '' : `; ${credits} credits`),
    `  uses ${burnPerHour} ${currency} an hour (over ${burnWindowS} s), ${runway.spentToday} today`,
    `  exposure ${worst}${more}`,
    ...(runway.budget === null ? [] : [`  budget ${budgetLine(runway.budget)}`]),
    ...(runway.byokBudget === null
      ? []
      : [`  budget for own provider’s keys ${budgetLine(runway.byokBudget)}`]),
    ...(tier === null ? [] : [`  tier ${tier}${quota.map(quotaText).join('')}`]),
    ...holds.map(
      ({ key, reason, text }) =>
        `  ${key === null ? '' : `key ${key} `}blocked, ${reason}: ${text}`,
    ),
    ...(problem === null ? [] : [`  as of ${runway.at}: ${problem}`]),
  ]
}

export function quotaText({ limit, isByok, left, allowed }: ShownQuotaLeft): string {
  const whose = isByok ? ' (own provider’s key)' : ''
  return `; ${left} of ${allowed} ${limit.replaceAll('_', ' ')} left${whose}`
}

function hours(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function subjectArgument(text: string): BudgetSubject {
  return readSubject(text) ?? accountArgument(text)
}

function amountArgument(text: string): Wad {
  if (/^\d{1,12}(\.\d{1,18})?$/.test(text)) return parseWad(text)
  throw new InvalidArgumentError('an amount, such as 1000 or 12.50')
}

function daysArgument(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('a number of days, such as 30')
}
