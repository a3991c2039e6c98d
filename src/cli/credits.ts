import { Command, InvalidArgumentError } from 'commander'
import type { AccountNumber } from '../domain/ids.js'
import { formatCredits } from '../domain/ledger.js'
import { REASONS } from '../pipeline/take-payment.js'
import type { StatementLine } from '../ports/ledger.js'

import { csvText } from '../reports/format.js'
import { accountArgument, type OrderOptions, orderOf } from './ordered.js'
import { type CliParts, toJson } from './parts.js'

const SHOWN = 100
const CREDITS_MAX = 1_000_000_000n

type Parts = Pick<CliParts, 'credits' | 'print'>

/** Prepaid credits for users without a wallet. */
export function creditsCommand(parts: Parts): Command {
  const command = new Command('credits').description(
    'Prepaid credits for users without a wallet: 1,000 for a dollar of charges',
  )
  command.addCommand(openCommand(parts))
  command.addCommand(grantCommand(parts))
  command.addCommand(takeBackCommand(parts))
  command.addCommand(balanceCommand(parts))
  command.addCommand(statementCommand(parts))
  command.addCommand(paymentsCommand(parts))
  command.addCommand(applyCommand(parts))
  return command
}

function ordering(command: Command): Command {
  return command
    .option('--reason <text>', 'why; it goes into the operators’ log')
    .option('--by <name>', 'who says so; the user of this machine unless given')
}

function openCommand({ credits, print }: Parts): Command {
  return ordering(new Command('open'))
    .description('Let an account live on credits, and give it what new ones get')
    .argument('<account>', 'its number', accountArgument)
    .action(async (account: AccountNumber, options: OrderOptions, command: Command) => {
      const isNew = await (await credits()).open(account, orderOf(options, command))
      print(`account ${account} ${isNew ? 'lives on credits now' : 'lived on credits before'}`)
    })
}

function grantCommand({ credits, print }: Parts): Command {
  return ordering(new Command('grant'))
    .description('Give credits, once for each reason')
    .argument('<account>', 'its number', accountArgument)
    .argument('<credits>', 'whole credits', creditsArgument)
    .action(
      async (account: AccountNumber, given: bigint, options: OrderOptions, command: Command) => {
        const ordered = orderOf(options, command)
        const isGiven = await (await credits()).grant(account, given, ordered)
        const why = `account ${account} was given credits for “${ordered.reason}” before: nothing done`
        print(isGiven ? `account ${account} was given ${given} credits` : why)
      },
    )
}

function takeBackCommand({ credits, print }: Parts): Command {
  return ordering(new Command('take-back'))
    .description('Take back what was granted for a reason, used or not')
    .argument('<account>', 'its number', accountArgument)
    .argument('<grant>', 'the reason that it was given for')
    .action(
      async (account: AccountNumber, grant: string, options: OrderOptions, command: Command) => {
        const isTaken = await (await credits()).takeBack(account, grant, orderOf(options, command))
        const when = isTaken ? '' : ' before: nothing done'
        print(`what account ${account} was given for “${grant}” was taken back${when}`)
      },
    )
}

function balanceCommand({ credits, print }: Parts): Command {
  return new Command('balance')
    .description('What is left of an account’s credits')
    .argument('<account>', 'its number', accountArgument)
    .option('--json', 'print one JSON object; millicredits')
    .action(async (account: AccountNumber, { json }: { json?: true }) => {
      const balance = await (await credits()).balance(account)
      print(json ? toJson({ account, millicredits: balance }) : `${formatCredits(balance)} credits`)
    })
}

function statementCommand({ credits, print }: Parts): Command {
  return new Command('statement')
    .description('Every line of an account, as CSV unless told')
    .argument('<account>', 'its number', accountArgument)
    .option('--json', 'print one JSON object a line; millicredits')
    .action(async (account: AccountNumber, { json }: { json?: true }) => {
      if (!json) print('time,kind,credits,balance,memo,id')
      for await (const line of (await credits()).statement(account)) {
        print(json ? jsonLine(line) : csvLine(line))
      }
    })
}

function jsonLine({ transaction: { id, kind, atMs, memo }, amount, balance }: StatementLine) {
  const at = new Date(atMs).toISOString()
  return toJson({ at, kind, millicredits: amount, balance, memo, id })
}

function csvLine({ transaction, amount, balance }: StatementLine): string {
  const { id, kind, atMs, memo } = transaction
  const cells = [kind, formatCredits(amount), formatCredits(balance), csvText(memo), csvText(id)]
  return [new Date(atMs).toISOString(), ...cells].join(',')
}

function paymentsCommand({ credits, print }: Parts): Command {
  return new Command('payments')
    .description('Show payments that bought nothing yet, and why')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const payments = await (await credits()).payments(SHOWN)
      if (json) return print(toJson({ payments }))
      for (const { id, amountMinor, currency, setAside } of payments) {
        const why = setAside === undefined ? '' : REASONS[setAside]
        print(`${id}: ${amountMinor} (smallest units of ${currency}); ${why}`)
      }
      if (payments.length === 0) print('No payment waits.')
    })
}

function applyCommand({ credits, print }: Parts): Command {
  return ordering(new Command('apply'))
    .description('Credit a payment that was set aside')
    .argument('<payment>', 'as `credits payments` names it')
    .argument('<account>', 'whose it is', accountArgument)
    .action(
      async (payment: string, account: AccountNumber, options: OrderOptions, command: Command) => {
        const amount = await (await credits()).apply(payment, account, orderOf(options, command))
        print(`account ${account} was credited ${formatCredits(amount)} credits for ${payment}`)
      },
    )
}

function creditsArgument(text: string): bigint {
  if (/^\d{1,10}$/.test(text) && BigInt(text) >= 1n && BigInt(text) <= CREDITS_MAX) {
    return BigInt(text)
  }
  throw new InvalidArgumentError(`whole credits, from 1 to ${CREDITS_MAX}`)
}
