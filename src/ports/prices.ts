import type { Call } from './lane.js'
import type { PriceFeed } from './price-desk.js'

/** What tokens are worth on the settlement chain, as far as vaults are paid from with them. */
export interface Prices {
  /** Of every token and currency that the provider has vaults in. Errors as of the settler. */
  read(signal: AbortSignal): Promise<readonly PriceSeen[]>
  /** Brings the newest rate of the oracle that a price follows. */
  refreshCall(price: Pick<PriceSeen, 'token' | 'currency'>): Call
}

export interface PriceSeen {
  readonly token: string
  readonly currency: string
  /** Undefined: none was made, and payments wait. */
  readonly feed: PriceFeed | undefined
  /** It follows an oracle, so that anybody can refresh it. */
  readonly isFollowing: boolean
}
