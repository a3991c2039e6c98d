import { type Hash, type Hex, ZERO_HASH } from '../../domain/bytes.js'
import type { RootProof } from '../../domain/proof.js'
import type { FlareChain } from './chain.js'
import { asTopic, type ContractBook, interfaces, roundStartsAt, topicOf } from './contracts.js'
import {
  digestOf,
  enoughSignatures,
  FDC_PROTOCOL_ID,
  messageHash,
  type RelayCall,
  relayCallsIn,
  schemeOf,
} from './signing-policy.js'

const RELAYED = topicOf(interfaces.relay, 'ProtocolMessageRelayed')

/** Reads what Flare's Relay knows of voting rounds of FDC. */
export class Rounds {
  readonly #chain: FlareChain
  readonly #book: ContractBook
  readonly #chainId: number

  constructor(chain: FlareChain, book: ContractBook, chainId: number) {
    this.#chain = chain
    this.#book = book
    this.#chainId = chainId
  }

  async isFinalised(round: number, signal: AbortSignal): Promise<boolean> {
    const { relay } = await this.#book.current(signal)
    const args = [FDC_PROTOCOL_ID, round]
    const [isFinal] = await this.#chain.view(interfaces.relay, relay, 'isFinalized', args, signal)
    return isFinal === true
  }

  /** Undefined while the Relay holds none. */
  async root(round: number, signal: AbortSignal): Promise<Hash | undefined> {
    const { relay } = await this.#book.current(signal)
    const args = [FDC_PROTOCOL_ID, round]
    const [found] = await this.#chain.view(interfaces.relay, relay, 'merkleRoots', args, signal)
    const root = String(found).toLowerCase() as Hash
    return root === ZERO_HASH ? undefined : root
  }

  /**
   * The root with just enough signatures, taken from the transaction that relayed it and each
   * checked; or a sentence on what is missing.
   */
  async rootProof(round: number, root: Hash, signal: AbortSignal): Promise<RootProof | string> {
    const txHash = await this.#relayedIn(round, signal)
    if (txHash === undefined) return `no event of round ${round}'s root yet`
    const transaction = await this.#chain.transaction(txHash, signal)
    if (transaction === null) return `transaction ${txHash} is not served yet`
    for (const call of relayCallsIn(transaction.input)) {
      const isOurs = call.protocolId === FDC_PROTOCOL_ID && call.round === round
      if (!isOurs || call.root !== root) continue
      const proof = await this.#checked(call, signal)
      if (proof !== undefined) return proof
    }
    return `transaction ${txHash} does not hold enough signatures of round ${round}'s root`
  }

  async #checked(call: RelayCall, signal: AbortSignal): Promise<RootProof | undefined> {
    const { relay } = await this.#book.current(signal)
    const { policy, message, round, root } = call
    const { rewardEpoch } = policy
    const onChain = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    const scheme = onChain && schemeOf(policy.bytes, onChain, this.#chainId)
    if (scheme === undefined) return undefined
    const digest = digestOf(messageHash(message, scheme, this.#chainId))
    const signatures = enoughSignatures(policy, digest, call.votes)
    return signatures && { round, root, rewardEpoch, signatures }
  }

  /** It cannot be from before the round's end, and mostly is from within two minutes after. */
  async #relayedIn(round: number, signal: AbortSignal): Promise<Hash | undefined> {
    const contracts = await this.#book.current(signal)
    const head = await this.#chain.block('latest', signal)
    const from = await this.#chain.blockBefore(roundStartsAt(round + 1, contracts), head, signal)
    const topics = [RELAYED, asTopic(FDC_PROTOCOL_ID), asTopic(round)]
    const filter = { addresses: [contracts.relay], topics }
    for await (const log of this.#chain.logsForward(filter, { from, until: head.number }, signal)) {
      return log.transactionHash
    }
    return undefined
  }
}

/** Undefined while the Relay knows no policy of that reward epoch. */
export async function policyHashOnChain(
  chain: FlareChain,
  relay: Hex,
  rewardEpoch: number,
  signal: AbortSignal,
): Promise<Hash | undefined> {
  const args = [rewardEpoch]
  const [found] = await chain.view(interfaces.relay, relay, 'toSigningPolicyHash', args, signal)
  const hash = String(found).toLowerCase() as Hash
  return hash === ZERO_HASH ? undefined : hash
}
