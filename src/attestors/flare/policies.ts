import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import type { PolicyProof, PolicySigners } from '../../domain/proof.js'
import type { PolicyEpochs } from '../../ports/attestor.js'
import type { SeenPolicy, SeenVote, Sightings } from '../../ports/sightings.js'
import { decodeEvent, type FlareChain } from './chain.js'
import {
  asTopic,
  type ContractBook,
  interfaces,
  roundAt,
  roundStartsAt,
  topicOf,
} from './contracts.js'
import type { Log } from './parse.js'
import { policyHashOnChain } from './round.js'
import {
  digestOf,
  enoughSignatures,
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
/** Log windows of one step of the follower: some seconds of a public node's time. */
const WINDOWS_A_STEP = 20
/** Blocks read again: the node that showed the head may not have been the one that showed logs. */
const OVERLAP_BLOCKS = 30

/** Reads the signing policies of reward epochs and who signed them. */
export class Policies {
  readonly #chain: FlareChain
  readonly #book: ContractBook
  readonly #chainId: number
  readonly #memory: Sightings
  readonly #logWindowBlocks: number
  /** A policy never changes; by its hash on chain. */
  readonly #known = new Map<Hash, SigningPolicy>()

  constructor({ chain, book, chainId, memory, logWindowBlocks }: PoliciesParts) {
    this.#chain = chain
    this.#book = book
    this.#chainId = chainId
    this.#memory = memory
    this.#logWindowBlocks = logWindowBlocks
  }

  /** See the port. */
  async epochs(signal: AbortSignal): Promise<PolicyEpochs> {
    const contracts = await this.#book.current(signal)
    const { timestamp } = await this.#chain.block('latest', signal)
    const [newest] = await this.#lastEpoch(signal)
    return { newest, inForce: await this.rewardEpochOf(roundAt(timestamp, contracts), signal) }
  }

  /**
   * Reads on from where the last step ended, at most some windows of blocks, and keeps what it
   * finds. Begins where the policy after `accepted` can have been set at the earliest.
   *
   * @returns whether there is more to read
   */
  async follow(accepted: number, signal: AbortSignal): Promise<boolean> {
    const head = await this.#chain.block('latest', signal)
    const readUntil = (await this.#memory.readUntil()) ?? (await this.#firstBlock(accepted, signal))
    // A chain that went back, or a node that is behind: what is there is read again.
    const from = Math.max(0, Math.min(readUntil, head.number) - OVERLAP_BLOCKS + 1)
    const until = Math.min(head.number, readUntil + WINDOWS_A_STEP * this.#logWindowBlocks)
    const { systemsManager } = await this.#book.current(signal)
    const addresses = [...(await this.#book.relays(signal)), systemsManager]
    const filter = { addresses, topics: [[INITIALISED, SIGNED]] }
    const policies: SeenPolicy[] = []
    const signed: Log[] = []
    for await (const log of this.#chain.logsForward(filter, { from, until }, signal)) {
      if (log.topics[0] === INITIALISED) policies.push(...seenPolicies([policyIn(log)]))
      // Votes for what Flow has are of no use; where no node shows them, they must not hold it up.
      else if (Number(log.topics[1]) > accepted) signed.push(log)
    }
    const votes = await this.#votesIn(signed, signal)
    await this.#memory.savePage({ policies, votes, untilBlock: until })
    return until < head.number
  }

  /** See the port. @throws RetryableError `attestor_nonsense` for a round too far back */
  async rewardEpochOf(round: number, signal: AbortSignal): Promise<number> {
    const [lastEpoch, lastStart] = await this.#lastEpoch(signal)
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
    const hashes = await this.#hashes(rewardEpoch, signal)
    const [onChain] = hashes
    if (onChain === undefined) return undefined
    const known = this.#known.get(onChain)
    if (known !== undefined) return known
    for (const find of [
      () => this.#remembered(rewardEpoch, hashes),
      () => this.#chain.ofAny((chain) => this.#relayed(chain, rewardEpoch, signal)),
      () =>
        this.#chain.ofAny(async (chain) => (await this.#events(chain, rewardEpoch, signal)).policy),
    ]) {
      const found = await find()
      if (found === undefined || !this.#isOneOf(hashes, found)) continue
      this.#known.set(onChain, found)
      return found
    }
    throw notFound(rewardEpoch)
  }

  /** Whose voters sign a round. Errors are those of `rewardEpochOf` and `policy`. */
  async policyOf(round: number, signal: AbortSignal): Promise<SigningPolicy | undefined> {
    return this.policy(await this.rewardEpochOf(round, signal), signal)
  }

  /** See the port. @throws RetryableError `policy_not_found`, as `policy` does */
  async proof(
    rewardEpoch: number,
    signal: AbortSignal,
    signersOf = (epoch: number): Promise<PolicySigners> => this.#shown(epoch, signal),
  ): Promise<PolicyProof | undefined> {
    const hashes = await this.#hashes(rewardEpoch, signal)
    if (hashes.length === 0) {
      const [newest] = await this.#lastEpoch(signal)
      if (rewardEpoch < newest) throw ofAnotherRelay(rewardEpoch)
      return undefined
    }
    const previous = await signersOf(rewardEpoch - 1)
    const remembered = await this.#remembered(rewardEpoch, hashes)
    if (remembered !== undefined) {
      const votes = await this.#memory.votes(rewardEpoch)
      const proof = proofOf(remembered, previous, hashes, votes)
      if (proof !== undefined || (await this.#isYetToCome(rewardEpoch, signal))) return proof
    }
    let isShown = false
    const proof = await this.#chain.ofAny(async (chain) => {
      const { policy, signed } = await this.#events(chain, rewardEpoch, signal)
      if (policy === undefined || !this.#isOneOf(hashes, policy)) return undefined
      isShown = true
      return proofOf(policy, previous, hashes, await this.#votesIn(signed, signal))
    })
    if (!isShown) throw notFound(rewardEpoch)
    return proof
  }

  async #shown(rewardEpoch: number, signal: AbortSignal): Promise<SigningPolicy> {
    const policy = await this.policy(rewardEpoch, signal)
    if (policy === undefined) throw notFound(rewardEpoch)
    return policy
  }

  /** With the round that it begins with. */
  async #lastEpoch(signal: AbortSignal): Promise<[epoch: number, start: number]> {
    const { relay } = await this.#book.current(signal)
    const method = 'lastInitializedRewardEpochData'
    const last = await this.#chain.view(interfaces.relay, relay, method, [], signal)
    return [Number(last[0]), Number(last[1])]
  }

  /**
   * What the Relays hold for an epoch, today's first. At a cut-over two of them know the policy,
   * each under a hash of its own scheme.
   */
  async #hashes(rewardEpoch: number, signal: AbortSignal): Promise<Hash[]> {
    const hashes = new Set<Hash>()
    if (rewardEpoch < 0) return []
    const collect = async (relay: Hex): Promise<undefined> => {
      const hash = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
      if (hash !== undefined) hashes.add(hash)
    }
    await this.#book.onRelays(collect, signal)
    return [...hashes]
  }

  async #remembered(
    rewardEpoch: number,
    hashes: readonly Hash[],
  ): Promise<SigningPolicy | undefined> {
    const seen = (await this.#memory.policies(rewardEpoch)).map((bytes) => readPolicy(bytes))
    return seen.find((policy) => policy !== undefined && this.#isOneOf(hashes, policy))
  }

  #isOneOf(hashes: readonly Hash[], { bytes }: SigningPolicy): boolean {
    return hashes.some((hash) => schemeOf(bytes, hash, this.#chainId) !== undefined)
  }

  /**
   * Whether votes that were not seen have hardly been cast: the epoch has not begun, and the follower
   * has read up to about now. Later on, a node that had pruned them may have been read.
   */
  async #isYetToCome(rewardEpoch: number, signal: AbortSignal): Promise<boolean> {
    const contracts = await this.#book.current(signal)
    const { number, timestamp } = await this.#chain.block('latest', signal)
    const start = await this.#startRound(rewardEpoch, signal)
    if (start !== undefined && roundAt(timestamp, contracts) >= start) return false
    const readUntil = await this.#memory.readUntil()
    return readUntil !== undefined && number - readUntil <= WINDOWS_A_STEP * this.#logWindowBlocks
  }

  /** Where the policy after an epoch's can have been set at the earliest: at the epoch's start. */
  async #firstBlock(rewardEpoch: number, signal: AbortSignal): Promise<number> {
    const contracts = await this.#book.current(signal)
    const head = await this.#chain.block('latest', signal)
    const start = await this.#startRound(rewardEpoch, signal)
    if (start === undefined) return head.number
    return this.#chain.blockBefore(roundStartsAt(start, contracts), head, signal)
  }

  /** Undefined for an epoch that no Relay ever knew. */
  async #startRound(rewardEpoch: number, signal: AbortSignal): Promise<number | undefined> {
    if (rewardEpoch < 0) return undefined
    const method = 'startingVotingRoundIds'
    const startOn = async (relay: Hex): Promise<number | undefined> => {
      const [start] = await this.#chain.view(interfaces.relay, relay, method, [rewardEpoch], signal)
      if (Number(start) > 0) return Number(start)
      const hash = await policyHashOnChain(this.#chain, relay, rewardEpoch, signal)
      return hash === undefined ? undefined : 0
    }
    return this.#book.onRelays(startOn, signal)
  }

  /**
   * Whoever relays a message shows the policy that signed it. Of an epoch's last rounds, or the last
   * until now, since nodes forget older ones first.
   */
  async #relayed(
    chain: FlareChain,
    rewardEpoch: number,
    signal: AbortSignal,
  ): Promise<SigningPolicy | undefined> {
    const contracts = await this.#book.current(signal)
    const start = await this.#startRound(rewardEpoch, signal)
    if (start === undefined) return undefined
    const { timestamp } = await chain.block('latest', signal)
    const now = roundAt(timestamp, contracts) + 1
    const end = Math.min(now, (await this.#startRound(rewardEpoch + 1, signal)) ?? now)
    const first = Math.max(start, end - ROUNDS_LOOKED_AT)
    const rounds = Array.from({ length: Math.max(0, end - first) }, (_, i) => asTopic(first + i))
    if (rounds.length === 0) return undefined
    const addresses = await this.#book.relays(signal)
    const filter = { addresses, topics: [RELAYED, null, rounds] }
    const until = roundStartsAt(end + ROUNDS_LATE, contracts)
    const from = roundStartsAt(first, contracts)
    const range = await chain.blocksBetween(from, until, signal)
    for await (const log of chain.logsBackward(filter, range, signal)) {
      const transaction = await chain.transaction(log.transactionHash, signal)
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
    chain: FlareChain,
    rewardEpoch: number,
    signal: AbortSignal,
  ): Promise<{ policy: SigningPolicy | undefined; signed: readonly Log[] }> {
    const contracts = await this.#book.current(signal)
    const start = await this.#startRound(rewardEpoch, signal)
    const startBefore = await this.#startRound(rewardEpoch - 1, signal)
    if (start === undefined || startBefore === undefined) return { policy: undefined, signed: [] }
    const [from, until] = [roundStartsAt(startBefore, contracts), roundStartsAt(start, contracts)]
    const range = await chain.blocksBetween(from, until, signal)
    const topics = [[INITIALISED, SIGNED], asTopic(rewardEpoch)]
    const addresses = [...(await this.#book.relays(signal)), contracts.systemsManager]
    const filter = { addresses, topics }
    const signed: Log[] = []
    let policy: SigningPolicy | undefined
    for await (const log of chain.logsBackward(filter, range, signal)) {
      if (log.topics[0] === SIGNED) signed.push(log)
      else policy = policyIn(log)
      if (policy !== undefined) break
    }
    if (policy === undefined || signed.some(isLastVote)) return { policy, signed }
    const { number: head } = await chain.block('latest', signal)
    const after = { from: range.until + 1, until: head }
    for await (const log of chain.logsForward(filter, after, signal)) {
      if (log.topics[0] === SIGNED) signed.push(log)
      if (signed.some(isLastVote)) break
    }
    return { policy, signed }
  }

  /** All votes in the transactions of these events. A node that lost one of them is asked again. */
  async #votesIn(signed: readonly Log[], signal: AbortSignal): Promise<SeenVote[]> {
    const hashes = [...new Set(signed.map(({ transactionHash }) => transactionHash))]
    const votes: SeenVote[] = []
    for (const hash of hashes) {
      const transaction = await this.#chain.transaction(hash, signal)
      if (transaction === undefined) throw notServed(hash)
      votes.push(...policyVotesIn(transaction.input))
    }
    return votes
  }
}

export interface PoliciesParts {
  readonly chain: FlareChain
  readonly book: ContractBook
  readonly chainId: number
  readonly memory: Sightings
  readonly logWindowBlocks: number
}

/** Undefined while the votes are too light under every hash of the policy. */
function proofOf(
  policy: SigningPolicy,
  previous: PolicySigners,
  hashes: readonly Hash[],
  votes: readonly SeenVote[],
): PolicyProof | undefined {
  const { rewardEpoch, bytes } = policy
  for (const hash of hashes) {
    const ours = votes.filter(
      (vote) => vote.rewardEpoch === rewardEpoch && vote.policyHash === hash,
    )
    const signatures = enoughSignatures(previous, digestOf(hash), ours)
    if (signatures !== undefined) return { rewardEpoch, policy: bytes, signatures }
  }
  return undefined
}

function seenPolicies(policies: readonly (SigningPolicy | undefined)[]): SeenPolicy[] {
  return policies.flatMap((policy) =>
    policy === undefined ? [] : { rewardEpoch: policy.rewardEpoch, policy: policy.bytes },
  )
}

function notServed(hash: Hash): RetryableError {
  const fix = 'Add an RPC URL that keeps older transactions.'
  return new RetryableError('policy_not_found', `nobody shows transaction ${hash}. ${fix}`)
}

function notFound(rewardEpoch: number): RetryableError {
  const fix = 'Add an RPC URL that keeps older logs.'
  const what = `nobody shows the signing policy of reward epoch ${rewardEpoch}`
  return new RetryableError('policy_not_found', `${what}. ${fix}`)
}

/** The newest policy is set on a Relay that never knew this one. */
function ofAnotherRelay(rewardEpoch: number): RetryableError {
  const fix = 'Name the Relay that it replaced in FLARE_PAST_RELAYS, or recover by a checkpoint.'
  const what = `no known Relay has the signing policy of reward epoch ${rewardEpoch}`
  return new RetryableError('policy_not_found', `${what}. ${fix}`)
}

function policyIn(initialised: Log): SigningPolicy | undefined {
  const event = decodeEvent(interfaces.relay, 'SigningPolicyInitialized', initialised)
  return readPolicy(String(event.signingPolicyBytes).toLowerCase() as Hex)
}

/** The manager takes no vote after the one that made the weight suffice. */
function isLastVote(signed: Log): boolean {
  const event = decodeEvent(interfaces.systemsManager, 'SigningPolicySigned', signed)
  return event.thresholdReached === true
}
