import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import { HttpClient } from '../../runtime/http-client.js'
import { FLARE_NETWORKS, type FlareConfig } from './config.js'
import * as parse from './parse.js'
import { TokenBucket } from './token-bucket.js'

/** A round holds some tens of attestations of a few kilobytes. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024
const NOT_FOUND = /not found/i

/** What it serves is checked by whoever asked; nothing of it is believed here. */
export interface ServedProof {
  readonly response: Hex
  readonly path: readonly Hash[]
}

/** `absent` is the DA layer's word for "not yet" and for "never" alike. */
export type Served<Item> =
  | { readonly kind: 'served'; readonly item: Item }
  | { readonly kind: 'absent' }
  | Unavailable

interface Unavailable {
  readonly kind: 'unavailable'
  readonly why: string
  /** By our own rate limit. */
  readonly isUnasked: boolean
}

/** Flare's data availability layer, asked no more often than it allows. Never throws on its own. */
export class DaLayer {
  readonly #http: HttpClient
  readonly #bucket: TokenBucket

  constructor(config: FlareConfig) {
    const { daUrl, chainId, apiKey, requestTimeoutMs, daRequestsPerMinute } = config
    this.#bucket = new TokenBucket(daRequestsPerMinute)
    this.#http = new HttpClient({
      baseUrl: daUrl ?? FLARE_NETWORKS[chainId].daUrl,
      codePrefix: 'attestor',
      timeoutMs: requestTimeoutMs,
      responseBytesMax: ANSWER_BYTES_MAX,
      ...(apiKey === undefined ? {} : { headers: { 'X-API-Key': apiKey } }),
    })
  }

  /** @param request lower case: it is looked up letter by letter */
  proof(round: number, request: Hex, signal: AbortSignal): Promise<Served<ServedProof>> {
    return this.#guarded(async () => {
      const path = '/api/v1/fdc/proof-by-request-round-raw'
      const body = { votingRoundId: round, requestBytes: request }
      const answer = await this.#http.request({ method: 'POST', path, body }, signal)
      if (answer.status === 404) return { kind: 'absent' }
      if (answer.status === 400) {
        const { error } = parse.parseAs(parse.daError, answer.json(), 'DA layer')
        return NOT_FOUND.test(error) ? { kind: 'absent' } : unavailable(`it says ${error}`)
      }
      if (answer.status !== 200) return unavailable(`it answered ${answer.status}`)
      const found = parse.parseAs(parse.attestation, answer.json(), 'DA layer')
      return { kind: 'served', item: { response: found.response_hex, path: found.proof } }
    })
  }

  /** Every response of the round, if it tells the truth. */
  responses(round: number, signal: AbortSignal): Promise<Served<readonly Hex[]>> {
    return this.#guarded(async () => {
      const query = { voting_round_id: String(round) }
      const answer = await this.#http.request({ path: '/api/v1/fdc/raw', query }, signal)
      if (answer.status !== 200) return unavailable(`it answered ${answer.status}`)
      const all = parse.parseAs(parse.attestations, answer.json(), 'DA layer')
      return { kind: 'served', item: all.map(({ response_hex }) => response_hex) }
    })
  }

  /** For doctor. @throws RetryableError */
  async health(signal: AbortSignal): Promise<number> {
    return (await this.#http.request({ path: '/api/health' }, signal)).status
  }

  async #guarded<Item>(ask: () => Promise<Served<Item>>): Promise<Served<Item>> {
    if (!this.#bucket.take()) return unavailable('its rate limit is used up for now', true)
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      return unavailable(error.message)
    }
  }
}

function unavailable(why: string, isUnasked = false): Unavailable {
  return { kind: 'unavailable', why: `DA layer: ${why}`, isUnasked }
}
