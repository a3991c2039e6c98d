import { Command } from 'commander'
import { formatUfix64, formatWad } from '../domain/money.js'
import type { TokenPlace, VaultCard, VaultMoney } from '../ports/desk.js'
import { type PlaceOptions, placeOf, RECEIVER, STORAGE, tokenAmount } from './desk-arguments.js'
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
import { vaultVerbs } from './vault-verbs.js'

type VaultsParts = Pick<CliParts, 'print'> & DeskParts

interface Options {
  readonly provider?: string
  readonly json?: true
}

interface OpenOptions extends Options, PlaceOptions {
  readonly plan: string
  readonly number?: string
  readonly deposit: string
  readonly sequenceNumber?: string
}

/** Vaults: opened and filled by customers, looked at by anybody. */
export function vaultsCommand(parts: VaultsParts): Command {
  const vaults = new Command('vaults').description(
    'Vaults: to send, with FLOW_CUSTOMER_ADDRESS and FLOW_CUSTOMER_PRIVATE_KEY',
  )
  vaults.addCommand(openCommand(parts))
  vaults.addCommand(depositCommand(parts))
  vaults.addCommand(showCommand(parts))
  vaults.addCommand(listCommand(parts))
  for (const verb of vaultVerbs(parts)) vaults.addCommand(verb)
  return vaults
}

function openCommand({ print, openCustomerDesk }: VaultsParts): Command {
  return new Command('open')
    .description('Open a vault with a provider')
    .requiredOption('--plan <id>', 'the plan to begin with')
    .option('--number <account>', 'an account number that the provider kept for you')
    .option('--deposit <amount>', 'tokens to put in at once', '0')
    .option(...STORAGE)
    .option(...RECEIVER)
    .option(...PROVIDER)
    .option(...SEQUENCE_NUMBER)
    .option('--json', 'print one JSON object')
    .action(async (options: OpenOptions, command: Command) => {
      const at = placeOf(options, command)
      if (at !== undefined && (options.storage === undefined || at.receiver === undefined)) {
        const message = 'error: a vault of another token needs --storage and --receiver'
        command.error(message, { exitCode: 2 })
      }
      const opened = await openCustomerDesk(sendOptionsOf(options, command))
      const order = {
        provider: providerOf(opened, options.provider, command),
        plan: wholeNumber(options.plan, command),
        account: options.number === undefined ? undefined : wholeNumber(options.number, command),
        deposit: tokenAmount(options.deposit, command),
        at,
      }
      const { account, txId } = await told(command, () => opened.desk.open(order, opened.signal))
      print(options.json ? toJson({ account, txId }) : `vault ${account} is open`)
    })
}

function depositCommand({ print, openCustomerDesk }: VaultsParts): Command {
  return new Command('deposit')
    .description('Put tokens into a vault, one’s own or anybody’s')
    .argument('<account>', 'its number')
    .argument('<amount>', 'such as 12.5')
    .option(...STORAGE)
    .option(...PROVIDER)
    .option(...SEQUENCE_NUMBER)
    .option('--json', 'print one JSON object')
    .action(
      async (
        text: string,
        amountText: string,
        options: Options & PlaceOptions & { readonly sequenceNumber?: string },
        command: Command,
      ) => {
        const account = wholeNumber(text, command)
        const amount = tokenAmount(amountText, command)
        const at = placeOf(options, command)
        const opened = await openCustomerDesk(sendOptionsOf(options, command))
        const { desk, signal } = opened
        const provider = providerOf(opened, options.provider, command)
        await told(command, async () => {
          const { txId } = await desk.deposit({ provider, account, amount, at }, signal)
          const money = await desk.money(provider, account, signal)
          if (options.json) print(toJson({ account, txId, ...moneyOf(money) }))
          else print(`vault ${account} has ${moneyOf(money)?.balance} ${nameOf(at)}`)
        })
      },
    )
}

function showCommand({ print, openPublicDesk }: VaultsParts): Command {
  return new Command('show')
    .description('Show a vault: its plan, its limits, its money')
    .argument('<account>', 'its number')
    .option(...PROVIDER)
    .option('--json', 'print one JSON object')
    .action(async (text: string, options: Options, command: Command) => {
      const account = wholeNumber(text, command)
      const opened = await openPublicDesk()
      const { desk, signal } = opened
      const provider = providerOf(opened, options.provider, command)
      await told(command, async () => {
        const money = await desk.money(provider, account, signal)
        const cards = money === undefined ? [] : await desk.vaults(provider, signal)
        const card = cards.find((one) => one.account === account)
        if (money === undefined || card === undefined) {
          const message = `error: provider ${provider} has no vault ${account}`
          command.error(message, { exitCode: 2 })
        }
        const text = { ...moneyOf(money), ...limitsText(card, money) }
        print(options.json ? toJson({ provider, ...card, ...text }) : showText(card, money))
      })
    })
}

function listCommand({ print, openPublicDesk }: VaultsParts): Command {
  return new Command('list')
    .description('List a provider’s vaults, in the order of their opening')
    .option(...PROVIDER)
    .option('--json', 'print one JSON object')
    .action(async (options: Options, command: Command) => {
      const opened = await openPublicDesk()
      const provider = providerOf(opened, options.provider, command)
      const vaults = await told(command, () => opened.desk.vaults(provider, opened.signal))
      if (options.json) print(toJson({ provider, vaults }))
      else if (vaults.length === 0) print(`provider ${provider} has no vault`)
      for (const vault of options.json ? [] : vaults) print(listText(vault))
    })
}

function showText(card: VaultCard, money: VaultMoney): string {
  const { balance, free, charged, paid, owed, writtenOff } = moneyText(money)
  const token = tokenName(card.token)
  const plans = card.plans.map(
    ({ planId, fromPeriodStart }) =>
      `  plan: ${planId}, from ${new Date(fromPeriodStart * 1000).toISOString().slice(0, 10)}`,
  )
  const { cap, spent, entitled, validUntil, withdrawal, storageDeposit } = limitsText(card, money)
  return [
    `vault ${card.account} of ${card.customer}: ${stateOf(card)}`,
    ...plans,
    `  period: ${card.period}`,
    `  balance: ${balance} ${token}, of it free ${free}`,
    `  charged: ${charged} ${card.currency} = paid ${paid} + owed ${owed} + written off ${writtenOff}`,
    `  cap: ${cap ?? 'none'}, of it spent ${spent}`,
    `  entitled: ${entitled ?? 'to all usage'}, until ${validUntil ?? 'for ever'}`,
    `  storage deposit: ${storageDeposit} ${token}`,
    ...(withdrawal === null
      ? []
      : [`  asked back: ${withdrawal.amount} ${token}, from ${withdrawal.maturesAt} on`]),
  ].join('\n')
}

function listText(card: VaultCard): string {
  const plan = card.plans.at(-1)?.planId ?? 'none'
  const token = tokenName(card.token)
  const other = token === 'FLOW' ? '' : `  ${token}`
  return `${card.account}  ${card.customer}  plan ${plan}${other}  ${stateOf(card)}`
}

/** Of a vault type such as A.0ae53cb6e3f42a79.FlowToken.Vault: its contract, by which people know it. */
function tokenName(type: string): string {
  const contract = type.split('.')[2] ?? type
  return contract === 'FlowToken' ? 'FLOW' : contract
}

function nameOf(at: TokenPlace | undefined): string {
  return at === undefined ? 'FLOW' : 'tokens'
}

function stateOf({ state, endsAt, isPaused, isAutopayOn }: VaultCard): string {
  if (endsAt !== null) return `${state}, can be ended from ${instant(endsAt)} on`
  if (state !== 'open') return state
  if (isPaused) return 'open, paused'
  return isAutopayOn ? 'open' : 'open, without autopay'
}

function instant(seconds: number): string {
  return new Date(seconds * 1_000).toISOString()
}

function limitsText({ storageDeposit }: VaultCard, money: VaultMoney) {
  const { cap, spent, entitled, validUntil, withdrawal } = money
  return {
    cap: cap === null ? null : formatWad(cap),
    spent: formatWad(spent),
    entitled: entitled === null ? null : formatWad(entitled),
    validUntil: validUntil === null ? null : instant(validUntil),
    storageDeposit: formatUfix64(storageDeposit),
    withdrawal:
      withdrawal === null
        ? null
        : {
            amount: formatUfix64(withdrawal.amount),
            maturesAt: instant(withdrawal.maturesAt),
            lapsesAt: instant(withdrawal.lapsesAt),
          },
  }
}

function moneyOf(money: VaultMoney | undefined) {
  return money === undefined ? undefined : moneyText(money)
}

function moneyText(money: VaultMoney) {
  return {
    balance: formatUfix64(money.balance),
    free: formatUfix64(money.free),
    charged: formatWad(money.charged),
    paid: formatWad(money.paid),
    owed: formatWad(money.owed),
    writtenOff: formatWad(money.writtenOff),
  }
}
