import type { Ufix64Units, Wad } from '../domain/money.js'
import type { Done } from './desk.js'

/** What a token is worth, for whoever looks after it. Errors as in `desk.ts`. */

export interface PricePair {
  /** As the chain names it; undefined: the chain's own. */
  readonly token: string | undefined
  readonly currency: string
}

/** What a price must keep to be paid with. */
export interface FeedRules {
  /** Of the currency for one whole token. */
  readonly minimum: Wad
  readonly maximum: Wad
  readonly maxAgeS: number
}

export interface PriceFeed extends FeedRules {
  readonly token: string
  readonly currency: string
  /** 0: none was set yet. */
  readonly price: Wad
  readonly updatedAtS: number
  /** governor, par or the name of an oracle; empty: none was set yet. */
  readonly source: string
  readonly isInBounds: boolean
  readonly isFresh: boolean
  /** What is paid with now; undefined: payments wait. */
  readonly current: Wad | undefined
  /** The last that kept its bounds, however old. */
  readonly lastGood: Wad | undefined
}

/** The rate of an oracle that a feed follows. */
export interface FollowedRate {
  readonly base: string
  readonly quote: string
  /** FLOW that a refresh costs. */
  readonly fee: Ufix64Units
}

export interface PriceDesk {
  /** Undefined: there is no such feed. */
  feed(pair: PricePair, signal: AbortSignal): Promise<PriceFeed | undefined>
  /** Undefined: it follows none. */
  followed(pair: PricePair, signal: AbortSignal): Promise<FollowedRate | undefined>
}

/** With a key. All but `refresh` are governance's. */
export interface PriceKeeperDesk extends PriceDesk {
  setFeed(pair: PricePair, rules: FeedRules, signal: AbortSignal): Promise<Done>
  /** As of now. One out of bounds is kept, and stops payments. */
  setPrice(pair: PricePair, price: Wad, signal: AbortSignal): Promise<Done>
  /** One is worth one for ever: a stablecoin in its currency. */
  setPar(pair: PricePair, signal: AbortSignal): Promise<Done>
  follow(
    pair: PricePair,
    rate: { readonly base: string; readonly quote: string },
    signal: AbortSignal,
  ): Promise<Done>
  unfollow(pair: PricePair, signal: AbortSignal): Promise<Done>
  /** Brings the oracle's newest rate. Anybody may. Nothing newer is a success. */
  refresh(pair: PricePair, maxFee: Ufix64Units, signal: AbortSignal): Promise<Done>
}
