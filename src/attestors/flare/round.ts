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
import type { Log } from './parse.js'
import {
  digestOf,
  enoughSignatures,
  FDC_PROTOCOL_ID,
  fdcMessage,
  messageHash,
  type RelayCall,
  relayCallsIn,
  type SigningPolicy,
  schemeOf,
} from './signing-policy.js'
import { Submissions } from './submissions.js'

const RELAYED = topicOf(interfaces.relay, 'ProtocolMessageRelayed')

/** A round's root, and which Relay holds it. */
export interface HeldRoot {
  readonly root: Hash
  readonly relay: Hex
}

export interface RoundsParts {
  readonly chain: FlareChain
  readonly book: ContractBook
  readonly chainId: number
  readonly memory: Pick<Sightings, 'policies'>
  /** Whose voters sign a round's root. */
  readonly policyOf: (round: number, signal: AbortSignal) => Promise<SigningPolicy | undefined>
}

/** Reads what Flare's Relay knows of voting rounds of FDC. */
export class Rounds {
  readonly #chain: FlareChain
  readonly #book: ContractBook
  readonly #chainId: number
  readonly #memory: Pick<Sightings, 'policies'>
  readonly #policyOf: RoundsParts['policyOf']
  readonly #submissions: Submissions

  constructor({ chain, book, chainId, memory, policyOf }: RoundsParts) {
    this.#chain = chain
    this.#book = book
    this.#chainId = chainId
    this.#memory = memory
    this.#policyOf = policyOf
    this.#submissions = new Submissions(book)
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
   * The root with just enough signatures, each checked: taken from the transaction that relayed it, or
   * where that has too few (whoever relays may encode them) from what the voters themselves submitted.
   * Or a sentence on what is missing.
   */
  async rootProof(
    round: number,
    { root, relay }: HeldRoot,
    signal: AbortSignal,
  ): Promise<RootProof | string> {
    const log = await this.#relayed(round, relay, signal)
    if (log === undefined) return `no event of round ${round}'s root yet`
    const { transactionHash: txHash, blockNumber } = log
    const transaction = await this.#chain.transaction(txHash, signal)
    if (transaction === undefined) return `transaction ${txHash} is not served yet`
    for (const call of relayCallsIn(transaction.input)) {
      const isOurs = call.protocolId === FDC_PROTOCOL_ID && call.round === round
      if (!isOurs || call.root !== root) continue
      const proof = await this.#checked(call, relay, signal)
      if (proof !== undefined) return proof
    }
    const why = `transaction ${txHash} does not hold enough signatures of round ${round}'s root`
    try {
      const held = { root, relay }
      return (await this.#submitted(round, held, blockNumber, signal)) ?? `${why}, nor do others`
    } catch (error) {
      // What no node shows may never be shown, and the round has to count as missed in the end.
      if (!(error instanceof RetryableError)) throw error
      return `${why}: ${error.message}`
    }
  }

  async #checked(call: RelayCall, relay: Hex, signal: AbortSignal): Promise<RootProof | undefined> {
    const { policy, message, round, root } = call
    const { rewardEpoch } = policy
    // A node that invents signatures has to invent voters too, and cannot change what was seen.
    const seen = await this.#memory.policies(rewardEpoch)
    if (seen.length > 0 && !seen.includes(policy.bytes)) return undefined
    const digest = await this.#digest(policy, message, relay, signal)
    const signatures = digest && enoughSignatures(policy, digest, call.votes)
    const nominalEpoch = nominalEpochOf(round, await this.#book.current(signal))
    return signatures && { round, root, rewardEpoch, nominalEpoch, signatures }
  }

  async #submitted(
    round: number,
    { root, relay }: HeldRoot,
    relayedIn: number,
    signal: AbortSignal,
  ): Promise<RootProof | undefined> {
    const policy = await this.#policyOf(round, signal)
    const digest = policy && (await this.#digest(policy, fdcMessage(round, root), relay, signal))
    if (policy === undefined || digest === undefined) return undefined
    const search = { round, policy, digest, relayedIn }
    const signatures = await this.#chain.ofAny((chain) =>
      this.#submissions.find(chain, search, signal),
    )
    const { rewardEpoch } = policy
    const nominalEpoch = nominalEpochOf(round, await this.#book.current(signal))
    return signatures && { round, root, rewardEpoch, nominalEpoch, signatures }
  }

  /** What the policy's voters sign for a message; undefined where the Relay holds another policy. */
  async #digest(
    { bytes, rewardEpoch }: SigningPolicy,
    message: Hex,
    relay: Hex,
    signal: AbortSignal,
  ): Promise<Hash | undefined> {
    const onChain = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    const scheme = onChain && schemeOf(bytes, onChain, this.#chainId)
    return scheme && digestOf(messageHash(message, scheme, this.#chainId))
  }

  /** It cannot be from before the round's end, and mostly is from within two minutes after. */
  async #relayed(round: number, relay: Hex, signal: AbortSignal): Promise<Log | undefined> {
    const contracts = await this.#book.current(signal)
    const head = await this.#chain.block('latest', signal)
    const endsAt = roundStartsAt(round + 1, contracts)
    const from = await this.#chain.blockBefore(endsAt, head, signal)
    const topics = [RELAYED, asTopic(FDC_PROTOCOL_ID), asTopic(round)]
    const filter = { addresses: [relay], topics }
    const range = { from, until: head.number }
    return this.#chain.ofAny((chain) => chain.oneLog(filter, range, 'first', signal))
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
