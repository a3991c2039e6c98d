import { Command } from 'commander'
import type { TokenPlace, VaultChange } from '../ports/desk.js'
import {
  flowAddress,
  limitOf,
  onOrOff,
  type PlaceOptions,
  placeOf,
  RECEIVER,
  STORAGE,
  secondsOf,
  tokenAmount,
} from './desk-arguments.js'
import {
  type DeskParts,
  PROVIDER,
  providerOf,
  SEQUENCE_NUMBER,
  sendOptionsOf,
  told,
  wholeNumber,
} from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type VerbParts = Pick<CliParts, 'print'> & DeskParts

interface Options {
  readonly provider?: string
  readonly sequenceNumber?: string
  readonly json?: true
}

interface Verb {
  readonly name: string
  readonly description: string
  /** What comes after the account, if anything does. */
  readonly argument?: readonly [name: string, description: string]
  readonly option?: readonly [flags: string, description: string]
  readonly change: (text: string, command: Command) => VaultChange
  readonly says: string
}

const LIMIT = ['<amount>', 'of the plan’s currency, such as 20.5; none for no limit'] as const

const VERBS: readonly Verb[] = [
  {
    name: 'autopay',
    description: 'Let settlement pay, or let what is charged be owed',
    argument: ['<on|off>', 'what is owed locks the balance all the same'],
    change: (text, command) => ({ kind: 'autopay', isOn: onOrOff(text, command) }),
    says: 'autopay is changed',
  },
  {
    name: 'pause',
    description: 'Stop all payments; usage is charged all the same',
    change: () => ({ kind: 'pause', isPaused: true }),
    says: 'it pays nothing until flowmeter vaults resume',
  },
  {
    name: 'resume',
    description: 'Let payments go on',
    change: () => ({ kind: 'pause', isPaused: false }),
    says: 'payments go on',
  },
  {
    name: 'cap',
    description: 'Limit what is paid in a billing period of the calendar',
    argument: LIMIT,
    change: (text, command) => ({ kind: 'cap', limit: limitOf(text, command) }),
    says: 'the cap is changed',
  },
  {
    name: 'entitle',
    description: 'Limit what is paid from now on, in all and in time',
    argument: LIMIT,
    option: ['--until <date>', 'such as 2027-01-01, in UTC; nothing is paid after it'],
    change: (text, command) => ({
      kind: 'entitlement',
      limit: limitOf(text, command),
      validUntil: untilOf(command),
    }),
    says: 'the entitlement is changed',
  },
  {
    name: 'choose-plan',
    description: 'Take another plan of the provider from the next period on',
    argument: ['<plan>', 'its id'],
    change: (text, command) => ({ kind: 'plan', plan: wholeNumber(text, command) }),
    says: 'the plan is chosen',
  },
  {
    name: 'request-withdrawal',
    description: 'Ask for free balance back, to be taken after the plan’s notice',
    argument: ['<amount>', 'of the vault’s token, such as 12.5'],
    change: (text, command) => ({
      kind: 'request_withdrawal',
      amount: tokenAmount(text, command),
    }),
    says: 'take it with flowmeter vaults withdraw when the notice is over, within a day',
  },
  {
    name: 'withdraw',
    description: 'Take out what was asked for, or what is still free of it',
    option: STORAGE,
    change: (_, command) => ({ kind: 'execute_withdrawal', ...placed(command) }),
    says: 'it is taken out',
  },
  {
    name: 'leave',
    description: 'Give notice. When it is over, what is owed is paid and the rest comes back',
    change: () => ({ kind: 'leave' }),
    says: 'flowmeter vaults end and refund pay the rest back when the notice is over',
  },
  {
    name: 'stay',
    description: 'Take that notice back, while the vault is not ended',
    change: () => ({ kind: 'stay' }),
    says: 'it goes on as before',
  },
  {
    name: 'end',
    description: 'Close a vault whose notice is over; anybody may',
    change: () => ({ kind: 'end' }),
    says: 'it is closed',
  },
  {
    name: 'refund',
    description: 'Pay what is left in a closed vault to its refund receiver; anybody may',
    change: () => ({ kind: 'refund' }),
    says: 'it is paid back',
  },
  {
    name: 'refund-to',
    description: 'Name the account that gets what is left when the vault is closed',
    argument: ['<address>', 'on Flow, 16 hex digits'],
    option: RECEIVER,
    change: (text, command) => ({
      kind: 'refund_receiver',
      receiver: flowAddress(text, command),
      ...placed(command),
    }),
    says: 'the receiver is named',
  },
  {
    name: 'take-refund',
    description: 'Take what is left in a closed vault, where its receiver does not',
    option: STORAGE,
    change: (_, command) => ({ kind: 'take_refund', ...placed(command) }),
    says: 'it is taken out',
  },
]

/** What a customer changes about a vault, a command each. */
export function vaultVerbs(parts: VerbParts): Command[] {
  return VERBS.map((verb) => verbCommand(verb, parts))
}

function verbCommand(verb: Verb, { print, openCustomerDesk }: VerbParts): Command {
  const made = new Command(verb.name)
    .description(verb.description)
    .argument('<account>', 'its number')
    .option(...PROVIDER)
    .option(...SEQUENCE_NUMBER)
    .option('--json', 'print one JSON object')
  if (verb.option !== undefined) made.option(...verb.option)
  const run = async (text: string, value: string, command: Command): Promise<void> => {
    const options = command.opts<Options>()
    const account = wholeNumber(text, command)
    const change = verb.change(value, command)
    const opened = await openCustomerDesk(sendOptionsOf(options, command))
    const provider = providerOf(opened, options.provider, command)
    const { txId } = await told(command, () =>
      opened.desk.change(provider, account, change, opened.signal),
    )
    print(options.json ? toJson({ account, txId }) : `vault ${account}: ${verb.says}`)
  }
  if (verb.argument === undefined) {
    return made.action((text: string, _: Options, command: Command) => run(text, '', command))
  }
  return made
    .argument(...verb.argument)
    .action((text: string, value: string, _: Options, command: Command) =>
      run(text, value, command),
    )
}

function placed(command: Command): { readonly at?: TokenPlace } {
  const at = placeOf(command.opts<PlaceOptions>(), command)
  return at === undefined ? {} : { at }
}

function untilOf(command: Command): number | null {
  const { until } = command.opts<{ until?: string }>()
  return until === undefined ? null : secondsOf(until, command)
}
