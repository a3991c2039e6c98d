import { z } from 'zod'
import type { Ufix64Units } from '../../domain/money.js'
import type { Call } from '../../ports/lane.js'
import type { PriceSeen, Prices } from '../../ports/prices.js'
import { ufix64 } from './arguments.js'
import type { FlowConfig } from './config.js'
import { string, uint } from './json-cadence.js'
import type { FlowCallBody } from './lane.js'
import { FlowPriceDesk, feedView } from './price-desk.js'

/** Band has asked nothing since it came to Flow; what it may ask without anybody being asked. */
const BAND_FEE_MAX = 10_000_000n as Ufix64Units

const pricesView = z.array(
  z.object({ token: z.string(), currency: z.string(), feed: feedView.nullable() }),
)

/** The daemon's look at prices. */
export class FlowPrices implements Prices {
  readonly #desk: FlowPriceDesk
  readonly #providerId: bigint

  constructor(config: FlowConfig) {
    this.#desk = new FlowPriceDesk(config)
    this.#providerId = config.providerId
  }

  async read(signal: AbortSignal): Promise<readonly PriceSeen[]> {
    const args = [uint('UInt64', this.#providerId)]
    const found = await this.#desk.run('get_provider_prices', args, pricesView, signal)
    const seen: PriceSeen[] = []
    for (const { token, currency, feed } of found) {
      const isFollowing = (await this.#desk.followed({ token, currency }, signal)) !== undefined
      const named = feed === null ? undefined : { token, currency, ...feed }
      seen.push({ token, currency, feed: named, isFollowing })
    }
    return seen
  }

  refreshCall({ token, currency }: Pick<PriceSeen, 'token' | 'currency'>): Call {
    const args = [string(token), string(currency), ufix64(BAND_FEE_MAX)]
    const body: FlowCallBody = { transaction: 'anybody/refresh_token_price', args }
    return { what: `refresh the price of ${token} in ${currency}`, body }
  }
}
