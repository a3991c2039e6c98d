import { type Hash, type Hex, ZERO_HASH } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import type { RootProof } from '../../domain/proof.js'
import type { Sightings } from '../../ports/sightings.js'
import type { FlareChain } from './chain.js'
import {
  asTopic,
  type ContractBook,
  interfaces,
  nominalEpochOf,
  roundStartsAt,
  topicOf,
} from './contracts.js'
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

/** A round's root, and which Relay holds it. */
export interface HeldRoot {
  readonly root: Hash
  readonly relay: Hex
}

/** Reads what Flare's Relay knows of voting rounds of FDC. */
export class Rounds {
  readonly #chain: FlareChain
  readonly #book: ContractBook
  readonly #chainId: number
  readonly #memory: Pick<Sightings, 'policies'>

  constructor(
    chain: FlareChain,
    book: ContractBook,
    chainId: number,
    memory: Pick<Sightings, 'policies'>,
  ) {
    this.#chain = chain
    this.#book = book
    this.#chainId = chainId
    this.#memory = memory
  }

  async isFinalised(round: number, signal: AbortSignal): Promise<boolean> {
    const args = [FDC_PROTOCOL_ID, round]
    const isFinalisedOn = async (relay: Hex): Promise<true | undefined> => {
      const [isFinal] = await this.#chain.view(interfaces.relay, relay, 'isFinalized', args, signal)
      return isFinal === true ? true : undefined
    }
    return (await this.#book.onRelays(isFinalisedOn, signal)) ?? false
  }

  /**
   * Undefined while no Relay holds one. Asked of two nodes where two are set.
   *
   * @throws RetryableError `nodes_disagree` when they name different roots
   */
  root(round: number, signal: AbortSignal): Promise<HeldRoot | undefined> {
    return this.#book.onRelays((relay) => this.#rootOn(relay, round, signal), signal)
  }

  async #rootOn(relay: Hex, round: number, signal: AbortSignal): Promise<HeldRoot | undefined> {
    const args = [FDC_PROTOCOL_ID, round]
    const { relay: abi } = interfaces
    const answers = await this.#chain.viewTwice(abi, relay, 'merkleRoots', args, signal)
    const roots = answers.map(({ result }) => String(result[0]).toLowerCase() as Hash)
    const [root = ZERO_HASH, other = root] = roots
    // One of them may only be a block behind.
    if (root === ZERO_HASH || other === ZERO_HASH) return undefined
    if (root !== other) throw disagree(round, answers)
    return { root, relay }
  }

  /**
   * The root with just enough signatures, taken from the transaction that relayed it and each
   * checked; or a sentence on what is missing.
   */
  async rootProof(
    round: number,
    { root, relay }: HeldRoot,
    signal: AbortSignal,
  ): Promise<RootProof | string> {
    const txHash = await this.#relayedIn(round, relay, signal)
    if (txHash === undefined) return `no event of round ${round}'s root yet`
    const transaction = await this.#chain.transaction(txHash, signal)
    if (transaction === undefined) return `transaction ${txHash} is not served yet`
    for (const call of relayCallsIn(transaction.input)) {
      const isOurs = call.protocolId === FDC_PROTOCOL_ID && call.round === round
      if (!isOurs || call.root !== root) continue
      const proof = await this.#checked(call, relay, signal)
      if (proof !== undefined) return proof
    }
    return `transaction ${txHash} does not hold enough signatures of round ${round}'s root`
  }

  async #checked(call: RelayCall, relay: Hex, signal: AbortSignal): Promise<RootProof | undefined> {
    const { policy, message, round, root } = call
    const { rewardEpoch } = policy
    // A node that invents signatures has to invent voters too, and cannot change what was seen.
    const seen = await this.#memory.policies(rewardEpoch)
    if (seen.length > 0 && !seen.includes(policy.bytes)) return undefined
    const onChain = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    const scheme = onChain && schemeOf(policy.bytes, onChain, this.#chainId)
    if (scheme === undefined) return undefined
    const digest = digestOf(messageHash(message, scheme, this.#chainId))
    const signatures = enoughSignatures(policy, digest, call.votes)
    const nominalEpoch = nominalEpochOf(round, await this.#book.current(signal))
    return signatures && { round, root, rewardEpoch, nominalEpoch, signatures }
  }

  /** It cannot be from before the round's end, and mostly is from within two minutes after. */
  async #relayedIn(round: number, relay: Hex, signal: AbortSignal): Promise<Hash | undefined> {
    const contracts = await this.#book.current(signal)
    const head = await this.#chain.block('latest', signal)
    const endsAt = roundStartsAt(round + 1, contracts)
    const from = await this.#chain.blockBefore(endsAt, head, signal)
    const topics = [RELAYED, asTopic(FDC_PROTOCOL_ID), asTopic(round)]
    const filter = { addresses: [relay], topics }
    const range = { from, until: head.number }
    const log = await this.#chain.ofAny((chain) => chain.oneLog(filter, range, 'first', signal))
    return log?.transactionHash
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

function disagree(round: number, answers: readonly { readonly host: string }[]): RetryableError {
  const hosts = answers.map(({ host }) => host).join(' and ')
  const fix = 'One of them lies, or is on another branch: take it out of FLARE_ENDPOINT.'
  return new RetryableError(
    'nodes_disagree',
    `${hosts} name different roots of round ${round}. ${fix}`,
  )
}
