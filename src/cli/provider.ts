import { Command } from 'commander'
import type { Done, ProviderDesk } from '../ports/desk.js'
import {
  flareAddress,
  flowAddress,
  type PlaceOptions,
  placeOf,
  STORAGE,
  tokenAmount,
} from './desk-arguments.js'
import { type DeskParts, SEQUENCE_NUMBER, sendOptionsOf, told, wholeNumber } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'
import { providerVerbs } from './provider-verbs.js'

type ProviderParts = Pick<CliParts, 'print'> & DeskParts
interface Options {
  readonly json?: true
  readonly sequenceNumber?: string
}

interface CollectOptions extends Options, PlaceOptions {
  readonly currency: string
}

/** What a provider does, with a key that the daemon never has. */
export function providerCommand(parts: ProviderParts): Command {
  const provider = new Command('provider').description(
    'A provider’s own verbs, with FLOW_PROVIDER_ADDRESS and FLOW_PROVIDER_PRIVATE_KEY',
  )
  sending(provider, 'set-up', 'Make the account a provider').action(
    async (options: Options, command: Command) =>
      act(parts, options, command, async (desk, signal) => {
        const done = await desk.setUp(signal)
        return { done, says: `this account is provider ${await desk.ownId(signal)}` }
      }),
  )
  sending(provider, 'register-models', 'Append names to the model table')
    .argument('<names...>', 'known names keep their id')
    .option('--for <address>', 'of a provider who shared this with your account')
    .action(async (names: string[], options: Options & { for?: string }, command: Command) => {
      const owner = options.for === undefined ? undefined : flowAddress(options.for, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.registerModels(names, signal, owner),
        says: `${names.join(', ')}: in the table`,
      }))
    })
  for (const command of sharingCommands(parts)) provider.addCommand(command)
  sending(provider, 'set-meter', 'Name the key that signs usage; the one before is revoked at once')
    .argument('<address>', 'on Flare, 40 hex digits')
    .action(async (text: string, options: Options, command: Command) => {
      const meter = flareAddress(text, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.setMeter(meter, signal),
        says: `the meter is ${meter}`,
      }))
    })
  sending(provider, 'reserve', 'Keep an account number for one address')
    .argument('<account>', 'the number')
    .argument('<address>', 'on Flow, 16 hex digits')
    .option(...SEQUENCE_NUMBER)
    .action(async (text: string, holder: string, options: Options, command: Command) => {
      const account = wholeNumber(text, command)
      const address = flowAddress(holder, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.reserve(account, address, signal),
        says: `account ${account} is kept for ${address}`,
      }))
    })
  sending(provider, 'collect', 'Take tokens that vaults have paid')
    .argument('<amount>', 'such as 12.5')
    .option(...STORAGE)
    .option('--currency <currency>', 'of the plans that it was paid for', 'USD')
    .option(...SEQUENCE_NUMBER)
    .action(async (text: string, options: CollectOptions, command: Command) => {
      const amount = tokenAmount(text, command)
      const at = placeOf(options, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.collect(options.currency, amount, signal, at),
        says: `${text} ${at === undefined ? 'FLOW' : 'tokens'} collected`,
      }))
    })
  for (const verb of providerVerbs(parts)) provider.addCommand(verb)
  return provider
}

/** The model table in other hands: who holds a part of a provider's power, and for how long. */
function sharingCommands(parts: ProviderParts): Command[] {
  const holder = new Command()
  sending(holder, 'share-models', 'Let another account register models, and do nothing else')
    .argument('<address>', 'the account’s, 16 hex digits; it runs claim-models then')
    .option(...SEQUENCE_NUMBER)
    .action(async (text: string, options: Options, command: Command) => {
      const delegate = flowAddress(text, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.shareModels(delegate, signal),
        says: `${delegate} may run flowmeter provider claim-models`,
      }))
    })
  sending(holder, 'revoke-models', 'Take that back, from everybody')
    .option(...SEQUENCE_NUMBER)
    .action(async (options: Options, command: Command) =>
      act(parts, options, command, async (desk, signal) => ({
        done: await desk.revokeModels(signal),
        says: 'nobody else registers models',
      })),
    )
  sending(holder, 'claim-models', 'Take what a provider offered with share-models')
    .argument('<address>', 'the provider’s, 16 hex digits')
    .option(...SEQUENCE_NUMBER)
    .action(async (text: string, options: Options, command: Command) => {
      const owner = flowAddress(text, command)
      await act(parts, options, command, async (desk, signal) => ({
        done: await desk.claimModels(owner, signal),
        says: `flowmeter provider register-models <names> --for ${owner}`,
      }))
    })
  return [...holder.commands]
}

function sending(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).option('--json', 'print one JSON object')
}

async function act(
  { print, openProviderDesk }: ProviderParts,
  options: Options,
  command: Command,
  work: (
    desk: ProviderDesk,
    signal: AbortSignal,
  ) => Promise<{ readonly done: Done; readonly says: string }>,
): Promise<void> {
  const { desk, signal } = await openProviderDesk(sendOptionsOf(options, command))
  const { done, says } = await told(command, () => work(desk, signal))
  const isSent = done.txId !== undefined
  if (options.json) print(toJson({ sent: isSent, txId: done.txId, says }))
  else print(isSent ? says : `${says} (it was so already)`)
}
