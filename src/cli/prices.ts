import { Command } from 'commander'
import { formatUfix64, formatWad, parseWad, type Wad } from '../domain/money.js'
import type { Done } from '../ports/desk.js'
import type { FollowedRate, PriceFeed, PriceKeeperDesk, PricePair } from '../ports/price-desk.js'
import { tokenAmount } from './desk-arguments.js'
import { type DeskParts, told } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type PricesParts = Pick<CliParts, 'print'> & DeskParts

interface Options {
  readonly token?: string
  readonly currency: string
  readonly json?: true
}

/** A price below 2^96 wad is more than any token is worth, and far from where the contract ends. */
const PRICE_END = 1n << 96n
const AGE_S_MAX = 366 * 86_400

/** What tokens are worth: looked at by anybody, set by governance, refreshed by anybody. */
export function pricesCommand(parts: PricesParts): Command {
  const prices = new Command('prices').description(
    'Token prices: to set them, with FLOW_DEPLOYER_ADDRESS and FLOW_DEPLOYER_PRIVATE_KEY',
  )
  prices.addCommand(showCommand(parts))
  prices.addCommand(setFeedCommand(parts))
  prices.addCommand(setCommand(parts))
  prices.addCommand(setParCommand(parts))
  prices.addCommand(followCommand(parts))
  prices.addCommand(unfollowCommand(parts))
  prices.addCommand(refreshCommand(parts))
  return prices
}

function showCommand({ print, openPriceDesk }: PricesParts): Command {
  return ofPair('show', 'Show a price, its bounds, and whether payments wait for it').action(
    async (options: Options, command: Command) => {
      const pair = pairOf(options, command)
      const { desk, signal } = await openPriceDesk()
      await told(command, async () => {
        const feed = await desk.feed(pair, signal)
        if (feed === undefined) return noFeed(pair, command)
        const rate = await desk.followed(pair, signal)
        print(options.json ? toJson(jsonOf(feed, rate)) : textOf(feed, rate))
      })
    },
  )
}

interface FeedOptions extends Options {
  readonly minimum: string
  readonly maximum: string
  readonly maxAge: string
}

function setFeedCommand(parts: PricesParts): Command {
  return ofPair('set-feed', 'Say what a price may be, and how old; the price it has stays')
    .requiredOption('--minimum <price>', 'of one token, such as 0.05')
    .requiredOption('--maximum <price>', 'of one token, such as 50')
    .requiredOption('--max-age <seconds>', 'after which payments wait, such as 86400')
    .action(async (options: FeedOptions, command: Command) => {
      const rules = {
        minimum: priceOf(options.minimum, command),
        maximum: priceOf(options.maximum, command),
        maxAgeS: secondsOf(options.maxAge, command),
      }
      if (rules.minimum === 0n || rules.minimum > rules.maximum) {
        const why = 'the minimum is above 0, and not above the maximum'
        command.error(`error: ${options.minimum} to ${options.maximum}: ${why}`, { exitCode: 2 })
      }
      await act(parts, 'governor', options, command, (desk, pair, signal) =>
        desk.setFeed(pair, rules, signal),
      )
    })
}

function noFeed({ token = 'FLOW', currency }: PricePair, command: Command): never {
  const fix = 'Make one: flowmeter prices set-feed, or prices set-par for a stablecoin.'
  return command.error(`error: ${token} has no feed in ${currency}. ${fix}`, { exitCode: 2 })
}

function setCommand(parts: PricesParts): Command {
  return ofPair('set', 'Set a price as of now')
    .argument('<price>', 'of one token, such as 0.62')
    .action(async (text: string, options: Options, command: Command) => {
      const price = priceOf(text, command)
      await act(parts, 'governor', options, command, async (desk, pair, signal) => {
        const feed = await desk.feed(pair, signal)
        if (feed === undefined) return noFeed(pair, command)
        if (price < feed.minimum || price > feed.maximum) {
          const bounds = `${formatWad(feed.minimum)} to ${formatWad(feed.maximum)}`
          const fix = 'It would stop all payments. Change the bounds first: prices set-feed.'
          command.error(`error: ${text} is not within ${bounds}. ${fix}`, { exitCode: 2 })
        }
        return desk.setPrice(pair, price, signal)
      })
    })
}

function setParCommand(parts: PricesParts): Command {
  return ofPair(
    'set-par',
    'Say that one token is one of the currency, for ever: a stablecoin',
  ).action(async (options: Options, command: Command) => {
    if (options.token === undefined) {
      const why = 'name the stablecoin by --token A.<address>.<contract>.Vault'
      command.error(`error: ${why}`, { exitCode: 2 })
    }
    await act(parts, 'governor', options, command, (desk, pair, signal) =>
      desk.setPar(pair, signal),
    )
  })
}

function followCommand(parts: PricesParts): Command {
  return ofPair('follow', 'Let anybody refresh a price from a rate of Band')
    .argument('<rate>', 'Band’s symbols, such as FLOW/USD')
    .action(async (text: string, options: Options, command: Command) => {
      const [, base = '', quote = ''] = /^([\w.]{1,32})\/([\w.]{1,32})$/.exec(text) ?? []
      if (base === '' || base === quote) {
        command.error(`error: "${text}" is no pair, such as FLOW/USD`, { exitCode: 2 })
      }
      await act(parts, 'governor', options, command, (desk, pair, signal) =>
        desk.follow(pair, { base, quote }, signal),
      )
    })
}

function unfollowCommand(parts: PricesParts): Command {
  return ofPair('unfollow', 'Let a price follow Band no longer').action(
    async (options: Options, command: Command) =>
      act(parts, 'governor', options, command, (desk, pair, signal) => desk.unfollow(pair, signal)),
  )
}

function refreshCommand(parts: PricesParts): Command {
  return ofPair('refresh', 'Bring Band’s newest rate, with a provider’s key: anybody may')
    .option('--max-fee <amount>', 'the most FLOW that Band may ask for it', '0.1')
    .action(async (options: Options & { readonly maxFee: string }, command: Command) => {
      const maxFee = tokenAmount(options.maxFee, command)
      await act(parts, 'provider', options, command, (desk, pair, signal) =>
        desk.refresh(pair, maxFee, signal),
      )
    })
}

function ofPair(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--token <type>', 'identifier of its vault type; FLOW unless told')
    .option('--currency <currency>', 'of plans', 'USD')
    .option('--json', 'print one JSON object')
}

async function act(
  { print, openPriceKeeperDesk }: PricesParts,
  role: 'governor' | 'provider',
  options: Options,
  command: Command,
  work: (desk: PriceKeeperDesk, pair: PricePair, signal: AbortSignal) => Promise<Done>,
): Promise<void> {
  const pair = pairOf(options, command)
  const { desk, signal } = await openPriceKeeperDesk(role, {})
  await told(command, async () => {
    const { txId } = await work(desk, pair, signal)
    const feed = await desk.feed(pair, signal)
    const rate = await desk.followed(pair, signal)
    const isSent = txId !== undefined
    if (options.json) {
      const after = feed === undefined ? {} : jsonOf(feed, rate)
      print(toJson({ sent: isSent, txId, ...after }))
      return
    }
    if (!isSent) print('There is no newer rate.')
    if (feed !== undefined) print(textOf(feed, rate))
  })
}

function pairOf({ token, currency }: Options, command: Command): PricePair {
  if (token !== undefined && !/^A\.[0-9a-f]{16}(\.\w+){2}$/.test(token)) {
    const shape = 'A.<16 hex digits>.<contract>.Vault'
    command.error(`error: "${token}" is no vault type, such as ${shape}`, { exitCode: 2 })
  }
  return { token, currency }
}

function priceOf(text: string, command: Command): Wad {
  const price = /^\d{1,20}(\.\d{1,18})?$/.test(text) ? parseWad(text) : undefined
  if (price !== undefined && price < PRICE_END) return price
  return command.error(`error: "${text}" is no price, such as 0.62`, { exitCode: 2 })
}

function secondsOf(text: string, command: Command): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (seconds >= 1 && seconds <= AGE_S_MAX) return seconds
  return command.error(`error: "${text}" is no age of 1 to ${AGE_S_MAX} seconds`, { exitCode: 2 })
}

/** Why payments wait for it; undefined: they do not. */
function waitsFor({ current, source, isInBounds }: PriceFeed): string | undefined {
  if (current !== undefined) return undefined
  if (source === '') return 'no price was set yet'
  return isInBounds ? 'the price is too old' : 'the price is out of its bounds'
}

function jsonOf(feed: PriceFeed, rate: FollowedRate | undefined) {
  const { token, currency, source, updatedAtS, maxAgeS, isInBounds, isFresh } = feed
  const money = (value: Wad | undefined) => (value === undefined ? undefined : formatWad(value))
  return {
    ...{ token, currency, price: formatWad(feed.price), source },
    updatedAt: instantOf(updatedAtS),
    ...{ minimum: formatWad(feed.minimum), maximum: formatWad(feed.maximum), maxAgeS },
    ...{ isInBounds, isFresh, paidWith: money(feed.current), lastGood: money(feed.lastGood) },
    paymentsWait: waitsFor(feed) ?? false,
    band: rate === undefined ? undefined : { ...rate, fee: formatUfix64(rate.fee) },
  }
}

function textOf(feed: PriceFeed, rate: FollowedRate | undefined): string {
  const { token, currency, price, source, updatedAtS, minimum, maximum, maxAgeS } = feed
  const wait = waitsFor(feed)
  const at = source === '' ? 'none yet' : `${formatWad(price)}, of ${instantOf(updatedAtS)}`
  const isPar = source === 'par'
  return [
    `${token} in ${currency}: ${at}${source === '' ? '' : `, by ${source}`}`,
    wait === undefined ? '  payments use it' : `  PAYMENTS WAIT: ${wait}`,
    ...(isPar ? [] : [`  bounds: ${formatWad(minimum)} to ${formatWad(maximum)}`]),
    ...(isPar ? [] : [`  oldest: ${maxAgeS} s`]),
    `  last good: ${feed.lastGood === undefined ? 'none' : formatWad(feed.lastGood)}`,
    ...(rate === undefined
      ? []
      : [`  Band: ${rate.base}/${rate.quote}, ${formatUfix64(rate.fee)} FLOW a refresh`]),
  ].join('\n')
}

function instantOf(atS: number): string {
  return new Date(atS * 1_000).toISOString()
}
