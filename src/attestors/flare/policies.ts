import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import type { PolicyProof } from '../../domain/proof.js'
import type { FlareChain } from './chain.js'
import { asTopic, type ContractBook, interfaces, roundStartsAt, topicOf } from './contracts.js'
import type { Log } from './parse.js'
import { policyHashOnChain } from './round.js'
import {
  digestOf,
  enoughSignatures,
  type PolicyVote,
  policyVotesIn,
  readPolicy,
  relayCallsIn,
  type SigningPolicy,
  schemeOf,
} from './signing-policy.js'

const RELAYED = topicOf(interfaces.relay, 'ProtocolMessageRelayed')
const INITIALISED = topicOf(interfaces.relay, 'SigningPolicyInitialized')
const SIGNED = topicOf(interfaces.systemsManager, 'SigningPolicySigned')
/** How far behind the newest policy a round may lie: 30 days of Coston2's six-hour epochs. */
const EPOCHS_BACK_MAX = 120
/** On Flare every round has some message, of FTSO if not of FDC. */
const ROUNDS_LOOKED_AT = 4
/** A message is relayed within a round or two after its own. */
const ROUNDS_LATE = 3

/** Reads the signing policies of reward epochs and who signed them. */
export class Policies {
  readonly #chain: FlareChain
  readonly #book: ContractBook
  readonly #chainId: number
  /** A policy never changes; by its hash on chain. */
  readonly #known = new Map<Hash, SigningPolicy>()

  constructor(chain: FlareChain, book: ContractBook, chainId: number) {
    this.#chain = chain
    this.#book = book
    this.#chainId = chainId
  }

  /** See the port. @throws RetryableError `attestor_nonsense` for a round too far back */
  async rewardEpochOf(round: number, signal: AbortSignal): Promise<number> {
    const { relay } = await this.#book.current(signal)
    const method = 'lastInitializedRewardEpochData'
    const last = await this.#chain.view(interfaces.relay, relay, method, [], signal)
    const [lastEpoch, lastStart] = [Number(last[0]), Number(last[1])]
    if (round >= lastStart) return lastEpoch
    for (let epoch = lastEpoch - 1; epoch >= lastEpoch - EPOCHS_BACK_MAX; epoch -= 1) {
      const start = await this.#startRound(epoch, signal)
      if (start === undefined) break
      if (round >= start) return epoch
    }
    throw new RetryableError('attestor_nonsense', `the Relay knows no policy of round ${round}`)
  }

  /**
   * A policy's bytes; undefined for an epoch that this Relay knows no policy of.
   *
   * @throws RetryableError `policy_not_found` when it knows one and nobody shows it
   */
  async policy(rewardEpoch: number, signal: AbortSignal): Promise<SigningPolicy | undefined> {
    const { relay } = await this.#book.current(signal)
    const onChain = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    if (onChain === undefined) return undefined
    const known = this.#known.get(onChain)
    if (known !== undefined) return known
    for (const find of [
      () => this.#relayed(rewardEpoch, signal),
      async () => (await this.#events(rewardEpoch, signal)).policy,
    ]) {
      const found = await find()
      if (found === undefined || schemeOf(found.bytes, onChain, this.#chainId) === undefined) {
        continue
      }
      this.#known.set(onChain, found)
      return found
    }
    throw notFound(rewardEpoch)
  }

  /** See the port. @throws RetryableError `policy_not_found`, as `policy` does */
  async proof(rewardEpoch: number, signal: AbortSignal): Promise<PolicyProof | undefined> {
    const { relay } = await this.#book.current(signal)
    const onChain = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    if (onChain === undefined) return undefined
    const previous = await this.policy(rewardEpoch - 1, signal)
    if (previous === undefined) throw notFound(rewardEpoch - 1)
    const { policy, signed } = await this.#events(rewardEpoch, signal)
    if (policy === undefined) throw notFound(rewardEpoch)
    if (schemeOf(policy.bytes, onChain, this.#chainId) === undefined) throw notFound(rewardEpoch)
    this.#known.set(onChain, policy)

    const votes = await this.#votes(rewardEpoch, onChain, signed, signal)
    const signatures = enoughSignatures(previous, digestOf(onChain), votes)
    return signatures && { rewardEpoch, policy: policy.bytes, signatures }
  }

  /** Undefined for an epoch that this Relay never knew. */
  async #startRound(rewardEpoch: number, signal: AbortSignal): Promise<number | undefined> {
    const { relay } = await this.#book.current(signal)
    if (rewardEpoch < 0) return undefined
    const method = 'startingVotingRoundIds'
    const [start] = await this.#chain.view(interfaces.relay, relay, method, [rewardEpoch], signal)
    if (Number(start) > 0) return Number(start)
    const hash = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
    return hash === undefined ? undefined : 0
  }

  /** Whoever relays a message shows the policy that signed it. */
  async #relayed(rewardEpoch: number, signal: AbortSignal): Promise<SigningPolicy | undefined> {
    const contracts = await this.#book.current(signal)
    const start = await this.#startRound(rewardEpoch, signal)
    if (start === undefined) return undefined
    const rounds = Array.from({ length: ROUNDS_LOOKED_AT }, (_, i) => asTopic(start + i))
    const filter = { addresses: [contracts.relay], topics: [RELAYED, null, rounds] }
    const until = roundStartsAt(start + ROUNDS_LOOKED_AT + ROUNDS_LATE, contracts)
    const from = roundStartsAt(start, contracts)
    const range = await this.#chain.blocksBetween(from, until, signal)
    for await (const log of this.#chain.logsForward(filter, range, signal)) {
      const transaction = await this.#chain.transaction(log.transactionHash, signal)
      const calls = relayCallsIn(transaction?.input ?? '0x')
      const call = calls.find(({ policy }) => policy.rewardEpoch === rewardEpoch)
      if (call !== undefined) return call.policy
    }
    return undefined
  }

  /**
   * A policy is set, and mostly signed, in the second half of the epoch before its own. Votes that
   * come after its start are looked for from there on. Nothing for the first policy of a Relay: it
   * was not set, but built in.
   */
  async #events(
    rewardEpoch: number,
    signal: AbortSignal,
  ): Promise<{ policy: SigningPolicy | undefined; signed: readonly Log[] }> {
    const contracts = await this.#book.current(signal)
    const start = await this.#startRound(rewardEpoch, signal)
    const startBefore = await this.#startRound(rewardEpoch - 1, signal)
    if (start === undefined || startBefore === undefined) return { policy: undefined, signed: [] }
    const [from, until] = [roundStartsAt(startBefore, contracts), roundStartsAt(start, contracts)]
    const range = await this.#chain.blocksBetween(from, until, signal)
    const topics = [[INITIALISED, SIGNED], asTopic(rewardEpoch)]
    const filter = { addresses: [contracts.relay, contracts.systemsManager], topics }
    const signed: Log[] = []
    let policy: SigningPolicy | undefined
    for await (const log of this.#chain.logsBackward(filter, range, signal)) {
      if (log.topics[0] === SIGNED) signed.push(log)
      else policy = policyIn(log)
      if (policy !== undefined) break
    }
    if (policy === undefined || signed.some(isLastVote)) return { policy, signed }
    const { number: head } = await this.#chain.block('latest', signal)
    const after = { from: range.until + 1, until: head }
    for await (const log of this.#chain.logsForward(filter, after, signal)) {
      if (log.topics[0] === SIGNED) signed.push(log)
      if (signed.some(isLastVote)) break
    }
    return { policy, signed }
  }

  async #votes(
    rewardEpoch: number,
    policyHash: Hash,
    signed: readonly Log[],
    signal: AbortSignal,
  ): Promise<PolicyVote[]> {
    const hashes = [...new Set(signed.map(({ transactionHash }) => transactionHash))]
    const votes: PolicyVote[] = []
    for (const hash of hashes) {
      const transaction = await this.#chain.transaction(hash, signal)
      votes.push(...policyVotesIn(transaction?.input ?? '0x'))
    }
    return votes.filter(
      (vote) => vote.rewardEpoch === rewardEpoch && vote.policyHash === policyHash,
    )
  }
}

function notFound(rewardEpoch: number): RetryableError {
  const fix = 'Add an RPC URL that keeps older logs.'
  const what = `nobody shows the signing policy of reward epoch ${rewardEpoch}`
  return new RetryableError('policy_not_found', `${what}. ${fix}`)
}

function policyIn(initialised: Log): SigningPolicy | undefined {
  const { data, topics } = initialised
  const event = interfaces.relay.decodeEventLog('SigningPolicyInitialized', data, topics)
  return readPolicy(String(event.signingPolicyBytes).toLowerCase() as Hex)
}

/** The manager takes no vote after the one that made the weight suffice. */
function isLastVote({ data, topics }: Log): boolean {
  const event = interfaces.systemsManager.decodeEventLog('SigningPolicySigned', data, topics)
  return event.thresholdReached === true
}
