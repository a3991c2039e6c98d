import { Interface, ZeroHash } from 'ethers'
import type { Chain, Head } from './chain.js'
import { type Contracts, REQUEST_FEE_WEI } from './deploy.js'
import { type EpochParams, roundAt } from './epochs.js'
import {
  EVM_TRANSACTION,
  encodeRequest,
  messageIntegrityCode,
  nameBytes,
  type RequestBody,
  TEST_FLARE,
} from './evm-transaction.js'
import { examine } from './examine.js'
import type { FaultPlan } from './faults.js'

/** A request is looked at when its round has ended, a few rounds later at most. */
const ROUNDS_REMEMBERED = 20
const hub = new Interface(['function requestAttestation(bytes data) payable'])

export interface NeighboursParts {
  readonly chain: Chain
  readonly contracts: Contracts
  readonly params: EpochParams
  readonly faults: FaultPlan
  /** Unlocked. */
  readonly account: string
  /** Requests a round, each in another form: up to 4. */
  readonly count: number
}

/**
 * Other users of the network. Their requests in every round give its tree more than one leaf, and
 * every round a root, as on Coston2.
 */
export class Neighbours {
  readonly #parts: NeighboursParts
  /** The requests of the last rounds, with the round they were made in. */
  readonly #asked = new Map<string, number>()
  #lastRound = -1
  #lastTransaction: string | undefined

  constructor(parts: NeighboursParts) {
    this.#parts = parts
  }

  isTheirs(requestHex: string): boolean {
    return this.#asked.has(requestHex)
  }

  /** Asks, in a new round, about a transaction of the round before, in several forms. */
  async step(head: Head): Promise<void> {
    const { chain, contracts, params, account, count } = this.#parts
    const round = roundAt(params, head.timestamp)
    const isQuiet = this.#parts.faults.isOn('quiet')
    if (round === this.#lastRound || count === 0 || isQuiet) return
    this.#lastRound = round
    const subject = this.#lastTransaction ?? (await this.#firstTransaction())
    const requests = await Promise.all(formsOf(subject, count).map((form) => this.#request(form)))
    this.#remember(requests, round)
    const receipts = await Promise.all(
      requests.map((request) =>
        chain.transact({
          from: account,
          to: contracts.fdcHub.address,
          data: hub.encodeFunctionData('requestAttestation', [request]),
          value: REQUEST_FEE_WEI,
        }),
      ),
    )
    this.#lastTransaction = receipts[0]?.transactionHash
  }

  #remember(requests: readonly string[], round: number): void {
    for (const request of requests) this.#asked.set(request, round)
    for (const [request, askedIn] of this.#asked) {
      if (askedIn < round - ROUNDS_REMEMBERED) this.#asked.delete(request)
    }
  }

  async #firstTransaction(): Promise<string> {
    const { chain, account } = this.#parts
    const { transactionHash } = await chain.transact({ from: account, to: account, data: '0x' })
    return transactionHash
  }

  async #request(requestBody: RequestBody): Promise<string> {
    const request = {
      attestationType: nameBytes(EVM_TRANSACTION),
      sourceId: nameBytes(TEST_FLARE),
      messageIntegrityCode: ZeroHash,
      requestBody,
    }
    const response = await examine(this.#parts.chain, request)
    if (response === undefined) throw new Error(`no response: ${requestBody.transactionHash}`)
    return encodeRequest({ ...request, messageIntegrityCode: messageIntegrityCode(response) })
  }
}

/** With and without input, with and without events. */
function formsOf(transactionHash: string, count: number): RequestBody[] {
  return Array.from({ length: count }, (_, i) => ({
    transactionHash,
    requiredConfirmations: '1',
    provideInput: i % 2 === 1,
    listEvents: i >= 2,
    logIndices: [],
  }))
}
