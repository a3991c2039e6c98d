import { z } from 'zod'
import { TerminalError } from '../../domain/errors.js'
import { parseUfix64, type Ufix64Units, type Wad, wad } from '../../domain/money.js'
import type { Done } from '../../ports/desk.js'
import type {
  FeedRules,
  FollowedRate,
  PriceDesk,
  PriceFeed,
  PriceKeeperDesk,
  PricePair,
} from '../../ports/price-desk.js'
import { ufix64 } from './arguments.js'
import {
  governorSettings,
  type PersonDeskConfig,
  type PublicDeskConfig,
  providerSettings,
} from './desk-config.js'
import { Errands } from './errand.js'
import { type CadenceValue, string, uint } from './json-cadence.js'
import type { Telling } from './provider.js'
import { FlowPublicDesk } from './public-desk.js'

const UNITS_PER_SECOND = 100_000_000n
/** How TokenPrices says that an oracle has nothing new. */
const NO_NEWS = /is no newer than/

const money = z.bigint().nonnegative().transform(wad)
const amount = z
  .string()
  .regex(/^\d+\.\d{1,8}$/)
  .transform(parseUfix64)
const secondsView = amount.transform((units) => Number(units / UNITS_PER_SECOND))

export const feedView = z
  .object({
    price: money,
    updatedAt: secondsView,
    source: z.string(),
    minimum: money,
    maximum: money,
    maxAge: secondsView,
    isInBounds: z.boolean(),
    isFresh: z.boolean(),
    current: money.nullable(),
    lastGood: money.nullable(),
  })
  .transform(({ updatedAt, maxAge, current, lastGood, ...rest }) => ({
    ...rest,
    updatedAtS: updatedAt,
    maxAgeS: maxAge,
    current: current ?? undefined,
    lastGood: lastGood ?? undefined,
  }))

const followedView = z.object({ base: z.string(), quote: z.string(), fee: amount }).nullable()

/** Reads feeds, without a key. */
export class FlowPriceDesk extends FlowPublicDesk implements PriceDesk {
  readonly #contractsAddress: string

  constructor(config: PublicDeskConfig) {
    super(config)
    this.#contractsAddress = config.contractsAddress
  }

  async feed(pair: PricePair, signal: AbortSignal): Promise<PriceFeed | undefined> {
    const token = this.tokenOf(pair)
    const args = this.namesOf(pair)
    const found = await this.run('get_token_price', args, feedView.nullable(), signal)
    return found === null ? undefined : { token, currency: pair.currency, ...found }
  }

  async followed(pair: PricePair, signal: AbortSignal): Promise<FollowedRate | undefined> {
    const contracts = await this.client.contractNames(this.#contractsAddress, signal)
    if (!contracts.includes('BandPrices')) return undefined
    const args = this.namesOf(pair)
    return (await this.run('get_band_pair', args, followedView, signal)) ?? undefined
  }

  protected tokenOf({ token }: PricePair): string {
    return token ?? this.files.flowToken()
  }

  protected namesOf(pair: PricePair): CadenceValue[] {
    return [string(this.tokenOf(pair)), string(pair.currency)]
  }
}

/** Sets and refreshes prices with a key: the contract account's, or for `refresh` anybody's. */
export class FlowPriceKeeperDesk extends FlowPriceDesk implements PriceKeeperDesk {
  readonly #errands: Errands

  constructor(config: PersonDeskConfig, role: 'governor' | 'provider', telling: Telling) {
    super(config)
    const settings = role === 'governor' ? governorSettings : providerSettings
    const { accountAddress, privateKey, keyIndex } = settings
    const variables = { address: accountAddress.env, key: privateKey.env, keyIndex: keyIndex.env }
    const { client, files } = this
    this.#errands = new Errands({ client, files, config, variables, ...telling })
  }

  setFeed(
    pair: PricePair,
    { minimum, maximum, maxAgeS }: FeedRules,
    signal: AbortSignal,
  ): Promise<Done> {
    const maxAge = ufix64((BigInt(maxAgeS) * UNITS_PER_SECOND) as Ufix64Units)
    const rules = [wadValue(minimum), wadValue(maximum), maxAge]
    return this.#send('set the feed', 'governor/set_token_feed', pair, rules, signal)
  }

  setPrice(pair: PricePair, price: Wad, signal: AbortSignal): Promise<Done> {
    const what = 'set the price'
    return this.#send(what, 'governor/set_token_price', pair, [wadValue(price)], signal)
  }

  async setPar(pair: PricePair, signal: AbortSignal): Promise<Done> {
    const what = 'set the token at par'
    const done = await this.#send(what, 'governor/set_token_at_par', pair, [], signal)
    if ((await this.followed(pair, signal)) !== undefined) await this.unfollow(pair, signal)
    return done
  }

  follow(
    pair: PricePair,
    { base, quote }: { readonly base: string; readonly quote: string },
    signal: AbortSignal,
  ): Promise<Done> {
    const what = `follow ${base}/${quote} of Band`
    const symbols = [base, quote].map(string)
    return this.#send(what, 'governor/set_band_pair', pair, symbols, signal)
  }

  unfollow(pair: PricePair, signal: AbortSignal): Promise<Done> {
    return this.#send('follow Band no longer', 'governor/remove_band_pair', pair, [], signal)
  }

  async refresh(pair: PricePair, maxFee: Ufix64Units, signal: AbortSignal): Promise<Done> {
    const transaction = 'anybody/refresh_token_price'
    try {
      return await this.#send('refresh the price', transaction, pair, [ufix64(maxFee)], signal)
    } catch (error) {
      if (error instanceof TerminalError && NO_NEWS.test(error.message)) return {}
      throw error
    }
  }

  #send(
    what: string,
    transaction: string,
    pair: PricePair,
    rest: readonly CadenceValue[],
    signal: AbortSignal,
  ): Promise<Done> {
    return this.#errands.run({ what, transaction, args: [...this.namesOf(pair), ...rest] }, signal)
  }
}

function wadValue(value: Wad): CadenceValue {
  return uint('UInt128', value)
}
