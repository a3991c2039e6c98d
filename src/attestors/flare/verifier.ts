import { z } from 'zod'
import type { Anchor } from '../../domain/batch.js'
import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError, TerminalError } from '../../domain/errors.js'
import { HttpClient } from '../../runtime/http-client.js'
import { FLARE_NETWORKS, type FlareConfig } from './config.js'
import { bytes, parseAs } from './parse.js'

const ANSWER_BYTES_MAX = 1024 * 1024

/** 200 for a refusal too, without the bytes. */
const prepared = z.object({ status: z.string(), abiEncodedRequest: bytes.optional() })

/** What a verifier makes of an anchor: the request as it would write it, or why it writes none. */
type Verdict =
  | { readonly kind: 'prepared'; readonly request: Hex }
  | { readonly kind: 'refused'; readonly status: string }

/**
 * A second opinion on what is about to be paid for. Requests are built from the chain alone, so
 * nothing waits for a verifier that cannot be reached.
 */
export class Verifier {
  readonly #http: HttpClient
  readonly #path: string
  readonly #patienceMs: number
  /** The anchor that it says no to, and since when, by a clock that only goes forward. */
  #refused: { readonly txHash: Hash; readonly sinceMs: number } | undefined

  /** Undefined where none is set. */
  static from(config: FlareConfig): Verifier | undefined {
    const { verifierUrl } = config
    return verifierUrl === undefined ? undefined : new Verifier(config, verifierUrl)
  }

  constructor(config: FlareConfig, baseUrl: string) {
    const { apiKey, chainId, requestTimeoutMs, verifierPatienceMs } = config
    this.#patienceMs = verifierPatienceMs
    this.#path = `/verifier/${FLARE_NETWORKS[chainId].verifier}/EVMTransaction/prepareRequest`
    this.#http = new HttpClient({
      baseUrl,
      codePrefix: 'attestor',
      timeoutMs: requestTimeoutMs,
      responseBytesMax: ANSWER_BYTES_MAX,
      headers: apiKey === undefined ? {} : { 'X-API-KEY': apiKey },
    })
  }

  /**
   * Has it write the request for an anchor, and compares. Returns where it writes the same, and
   * where it has no opinion: it cannot be reached, takes no key of ours, is busy, or fails itself.
   *
   * @throws RetryableError `request_not_verified` when it says no: it may not have the block yet
   * @throws TerminalError `request_refused` when it goes on saying no
   */
  async compare(request: Hex, anchor: Anchor, signal: AbortSignal): Promise<void> {
    const { txHash } = anchor
    const verdict = await this.#ask(request, anchor, signal)
    if (verdict === undefined) return
    if (verdict.kind === 'prepared' && verdict.request === request) {
      this.#refused = undefined
      return
    }
    if (this.#refused?.txHash !== txHash) this.#refused = { txHash, sinceMs: performance.now() }
    const says = verdict.kind === 'refused' ? `says ${verdict.status}` : 'writes another request'
    const what = `the verifier ${says} of transaction ${txHash}`
    if (performance.now() - this.#refused.sinceMs < this.#patienceMs) {
      throw new RetryableError('request_not_verified', `${what}; it may not have its block yet`)
    }
    this.#refused = undefined // An operator who retries the batch gives it as long again.
    const fix =
      'Look which of FLARE_ENDPOINT and FLARE_VERIFIER_URL is wrong, then retry the batch.'
    throw new TerminalError('request_refused', `${what}. Nothing was paid. ${fix}`)
  }

  async #ask(request: Hex, anchor: Anchor, signal: AbortSignal): Promise<Verdict | undefined> {
    try {
      const body = questionOf(request, anchor)
      const answer = await this.#http.request({ method: 'POST', path: this.#path, body }, signal)
      if (answer.status !== 200) return undefined
      return verdictOf(parseAs(prepared, answer.json(), 'verifier'))
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      return undefined
    }
  }

  /** For doctor: an empty question. One that may be asked answers 400, one that may not 401. */
  async health(signal: AbortSignal): Promise<number> {
    const request = { method: 'POST', path: this.#path, body: {} } as const
    return (await this.#http.request(request, signal)).status
  }
}

function questionOf(request: Hex, { txHash, logIndex }: Anchor): unknown {
  const word = (index: number): Hex => `0x${request.slice(2 + 64 * index, 66 + 64 * index)}`
  return {
    attestationType: word(0),
    sourceId: word(1),
    requestBody: {
      transactionHash: txHash,
      requiredConfirmations: '1',
      provideInput: false,
      listEvents: true,
      logIndices: [String(logIndex)],
    },
  }
}

function verdictOf({ status, abiEncodedRequest }: z.infer<typeof prepared>): Verdict | undefined {
  if (abiEncodedRequest !== undefined) return { kind: 'prepared', request: abiEncodedRequest }
  // It says of itself that it cannot tell.
  if (status.startsWith('INDETERMINATE')) return undefined
  return { kind: 'refused', status }
}
