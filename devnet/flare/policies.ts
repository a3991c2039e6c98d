import { CHAIN_ID } from './anvil.js'
import type { Chain, Head } from './chain.js'
import type { Contracts } from './deploy.js'
import { type EpochParams, nominalEpoch, roundAt } from './epochs.js'
import type { FaultPlan } from './faults.js'
import { policyBytes, policyHash, type SigningPolicy, signHash } from './formats.js'
import { keyOf, presentVoters, seedOf, votersOf } from './voters.js'

export interface PolicyParts {
  readonly chain: Chain
  readonly contracts: Contracts
  readonly params: EpochParams
  readonly faults: FaultPlan
  /** Unlocked. Sets the policies. */
  readonly governance: string
  /** Unlocked. Sends the voters' signatures: whose gas it is does not matter. */
  readonly sender: string
  /** The policy with which an older Relay gives way to one whose digests are bound. */
  readonly cutOverEpoch: number | undefined
  /** Puts another Relay in its place; the last policy is its first. */
  readonly cutOver: () => Promise<unknown>
}

/** Sets and signs the policy of each next reward epoch, from the middle of the one before. */
export class Policies {
  readonly #parts: PolicyParts
  readonly #all: SigningPolicy[]
  /** Of the policy before the last, for the last. */
  readonly #voted = new Set<string>()
  #isSigned = true

  constructor(parts: PolicyParts, initial: SigningPolicy) {
    this.#parts = parts
    this.#all = [initial]
  }

  get last(): SigningPolicy {
    const last = this.#all.at(-1)
    if (last === undefined) throw new Error('there is always a policy')
    return last
  }

  /** The policy that signs a round: the newest that has started by then. */
  forRound(round: number): SigningPolicy {
    const policy = this.#all.findLast(({ startVotingRoundId }) => startVotingRoundId <= round)
    if (policy === undefined) throw new Error(`no policy for round ${round}`)
    return policy
  }

  /** Brings the next policy on its way when it is time. Behind, it catches up one a call. */
  async step(head: Head): Promise<void> {
    const { params, faults } = this.#parts
    const round = roundAt(params, head.timestamp)
    const half = params.rewardEpochDurationInVotingEpochs / 2
    const isDue = nominalEpoch(params, round + half) > this.last.rewardEpochId
    if (faults.isOn('paused') || faults.isOn('policyLate') || faults.isOn('quiet')) return
    if (!this.#isSigned) return this.#sign()
    if (this.#isCutOverDue) await this.#parts.cutOver()
    if (!isDue) return
    const next = await this.#initialise()
    // From here on the Relay knows it, signed or not.
    this.#all.push(next)
    this.#isSigned = false
    this.#voted.clear()
    await this.#sign()
  }

  get #isCutOverDue(): boolean {
    const { contracts, cutOverEpoch } = this.#parts
    return contracts.relay.digests === 'older' && this.last.rewardEpochId === cutOverEpoch
  }

  async #initialise(): Promise<SigningPolicy> {
    const { chain, contracts, governance } = this.#parts
    const rewardEpochId = this.last.rewardEpochId + 1
    const voters = votersOf(rewardEpochId)
    const { abi, address: to } = contracts.systemsManager
    const data = abi.encodeFunctionData('initialiseNextSigningPolicy', [
      voters.map(({ address }) => address),
      voters.map(({ weight }) => weight),
      seedOf(rewardEpochId),
    ])
    const { logs } = await chain.transact({ from: governance, to, data })
    const [log] = logs
    const event = log && contracts.relay.abi.parseLog({ ...log, topics: [...log.topics] })
    if (event?.name !== 'SigningPolicyInitialized') throw new Error('no policy was set')
    const policy = {
      rewardEpochId,
      startVotingRoundId: Number(event.args.startVotingRoundId),
      threshold: Number(event.args.threshold),
      seed: event.args.seed as bigint,
      voters,
    }
    // Said twice, here and in Solidity: a misreading of the byte form shows at once.
    if (event.args.signingPolicyBytes !== policyBytes(policy)) throw new Error('other policy bytes')
    return policy
  }

  /**
   * The voters of the previous policy sign one after the other, until their weight suffices. Those
   * who are away do it when they are back.
   */
  async #sign(): Promise<void> {
    const { chain, contracts, sender, faults } = this.#parts
    const [previous, next] = this.#all.slice(-2)
    if (previous === undefined || next === undefined) throw new Error('nothing to sign')
    const { voters, threshold } = previous
    const present = presentVoters(voters, faults.absentVoters())
    const weightOf = (addresses: ReadonlySet<string>): number =>
      voters.reduce((sum, { address, weight }) => sum + (addresses.has(address) ? weight : 0), 0)
    const { abi, address: to } = contracts.systemsManager
    const hash = policyHash(contracts.relay.digests, CHAIN_ID, policyBytes(next))
    const sent: Promise<unknown>[] = []
    for (const voter of inAnyOrder(voters, next.rewardEpochId)) {
      if (weightOf(this.#voted) > threshold) break
      if (!present.has(voter.address) || this.#voted.has(voter.address)) continue
      this.#voted.add(voter.address)
      const signature = signHash(keyOf(voter.address), hash)
      const args = [next.rewardEpochId, hash, signature]
      const data = abi.encodeFunctionData('signNewSigningPolicy', args)
      sent.push(chain.transact({ from: sender, to, data }))
    }
    await Promise.all(sent)
    this.#isSigned = weightOf(this.#voted) > threshold
  }
}

/** Votes come in any order on Flare, so here they start with another voter every time. */
function inAnyOrder<Item>(items: readonly Item[], turn: number): Item[] {
  const start = turn % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}
