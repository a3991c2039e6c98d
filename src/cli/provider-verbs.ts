import { Command } from 'commander'
import type { Done, ProviderDesk } from '../ports/desk.js'
import {
  billableOf,
  limitOf,
  type PlaceOptions,
  placeOf,
  STORAGE,
  secondsOf,
  tokenAmount,
} from './desk-arguments.js'
import { type DeskParts, SEQUENCE_NUMBER, sendOptionsOf, told, wholeNumber } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type VerbParts = Pick<CliParts, 'print'> & DeskParts

interface Options extends PlaceOptions {
  readonly json?: true
  readonly sequenceNumber?: string
  readonly period: string
  readonly tokens: string
  readonly afterSeq: string
  readonly upTo: string
  readonly reason: string
}

interface Act {
  readonly work: (desk: ProviderDesk, signal: AbortSignal) => Promise<Done>
  readonly says: string
}

const PERIOD = ['--period <date>', 'start of the billing period, such as 2026-11-01'] as const
const REASON = ['--reason <text>', 'for the customer, at most 256 characters'] as const
const ACCOUNT = ['<account>', 'the vault’s number'] as const

/** What a provider does about single vaults. */
export function providerVerbs(parts: VerbParts): Command[] {
  return [
    verb(
      parts,
      'correct',
      'Lower what a vault used in a period, and give back the difference',
      correct,
    )
      .argument(...ACCOUNT)
      .requiredOption(...PERIOD)
      .requiredOption('--tokens <count>', 'the right total of billable tokens, such as 1200.5')
      .requiredOption(
        '--after-seq <number>',
        'the batch that was sealed last: none up to it counts',
      )
      .requiredOption(...REASON),
    verb(parts, 'approve', 'Let charges of a period apply up to a sum, however great', approve)
      .argument(...ACCOUNT)
      .requiredOption(...PERIOD)
      .requiredOption('--up-to <amount>', 'of the plan’s currency, for the whole period'),
    verb(
      parts,
      'max-charge',
      'Hold entries with a greater charge until they are approved',
      maxCharge,
    ).argument('<amount>', 'of the plans’ currency; none for no limit'),
    verb(parts, 'credit', 'Give tokens of one’s own to a vault', credit)
      .argument(...ACCOUNT)
      .argument('<amount>', 'such as 12.5')
      .option(...STORAGE)
      .requiredOption(...REASON),
    verb(
      parts,
      'close',
      'Give a customer notice: flowmeter vaults end closes when it is over',
      close,
    ).argument(...ACCOUNT),
  ]
}

function correct([text = '']: readonly string[], options: Options, command: Command): Act {
  const account = wholeNumber(text, command)
  const correction = {
    account,
    periodStart: secondsOf(options.period, command),
    billable: billableOf(options.tokens, command),
    afterSeq: wholeNumber(options.afterSeq, command),
    reason: options.reason,
  }
  return {
    work: (desk, signal) => desk.correct(correction, signal),
    says: `account ${account} used ${options.tokens} billable tokens in that period`,
  }
}

function approve([text = '']: readonly string[], options: Options, command: Command): Act {
  const account = wholeNumber(text, command)
  const chargedUpTo = limitOf(options.upTo, command)
  if (chargedUpTo === null) return command.error('error: up to what?', { exitCode: 2 })
  const periodStart = secondsOf(options.period, command)
  return {
    work: (desk, signal) => desk.approve({ account, periodStart, chargedUpTo }, signal),
    says: `account ${account} may be charged up to ${options.upTo} in that period`,
  }
}

function maxCharge([text = '']: readonly string[], _: Options, command: Command): Act {
  const limit = limitOf(text, command)
  return {
    work: (desk, signal) => desk.setMaxCharge(limit, signal),
    says: limit === null ? 'no charge is held' : `a charge above ${text} is held`,
  }
}

function credit(
  [text = '', amountText = '']: readonly string[],
  options: Options,
  command: Command,
): Act {
  const account = wholeNumber(text, command)
  const amount = tokenAmount(amountText, command)
  const at = placeOf(options, command)
  return {
    work: (desk, signal) => desk.credit({ account, amount, reason: options.reason, at }, signal),
    says: `${amountText} ${at === undefined ? 'FLOW' : 'tokens'} given to account ${account}`,
  }
}

function close([text = '']: readonly string[], _: Options, command: Command): Act {
  const account = wholeNumber(text, command)
  return {
    work: (desk, signal) => desk.close(account, signal),
    says: `account ${account} has its notice`,
  }
}

function verb(
  { print, openProviderDesk }: VerbParts,
  name: string,
  description: string,
  actOf: (args: readonly string[], options: Options, command: Command) => Act,
): Command {
  const made = new Command(name)
  return made
    .description(description)
    .option(...SEQUENCE_NUMBER)
    .option('--json', 'print one JSON object')
    .action(async () => {
      const options = made.opts<Options>()
      const { work, says } = actOf(made.args, options, made)
      const { desk, signal } = await openProviderDesk(sendOptionsOf(options, made))
      const { txId } = await told(made, () => work(desk, signal))
      const isSent = txId !== undefined
      if (options.json) print(toJson({ sent: isSent, txId, says }))
      else print(isSent ? says : `${says} (it was so already)`)
    })
}
