import { setTimeout as sleep } from 'node:timers/promises'
import { type Account, type Anvil, CHAIN_ID, startAnvil } from './anvil.js'
import { compiledContracts } from './artifacts.js'
import { Chain } from './chain.js'
import { startDaServer } from './da-server.js'
import { deployContracts, REGISTRY_ADDRESS, replaceRelay } from './deploy.js'
import type { EpochParams } from './epochs.js'
import { FaultPlan } from './faults.js'
import { type Digests, policyBytes, type SigningPolicy } from './formats.js'
import { Neighbours } from './neighbours.js'
import { Policies } from './policies.js'
import { Proofs } from './proofs.js'
import { Rounds, signedRoot } from './rounds.js'
import { PUBLIC_VERIFIER_KEY, startVerifierServer } from './verifier-server.js'
import { seedOf, thresholdOf, votersOf } from './voters.js'

const ROUNDS_PER_EPOCH = 8
const START_DELAY_ROUNDS = 1
/** Where Coston2 was in September 2026, and the first round of an epoch of 8. */
const FIRST_ROUND = 1_465_000
const HEAD_POLL_MS = 200

export interface FlareOptions {
  /** Gets the log of the node. */
  readonly dir: string
  /** 3 unless told, 255 at most. */
  readonly roundSeconds?: number
  /** 1 unless told. */
  readonly blockSeconds?: number
  /** Requests of other users a round, up to 4; 3 unless told. With 0, empty rounds get no root. */
  readonly neighbours?: number
  /**
   * For so many reward epochs the Relay is the older one, whose digests no chain id binds; then it is
   * replaced, as Flare did. None unless told.
   */
  readonly olderRelayEpochs?: number
}

/** A running local Flare: a node, the contracts, the providers, a verifier and a DA layer. */
export interface LocalFlare {
  readonly rpcUrl: string
  readonly daUrl: string
  readonly verifierUrl: string
  readonly verifierKey: string
  readonly chainId: number
  readonly registryAddress: string
  readonly anchorAddress: string
  /** Each with plenty of coins, and used by nobody else. */
  readonly accounts: readonly Account[]
  readonly params: EpochParams
  /** What a light client begins with: the policy in force at the start. */
  readonly checkpoint: { readonly rewardEpochId: number; readonly policyBytes: string }
  readonly faults: FaultPlan
  /** The policy that is set last; it may still be in the making. */
  lastPolicy(): SigningPolicy
  /** From where on digests are bound to the chain id, where an older Relay is replaced on the way. */
  readonly boundFrom: { readonly round: number; readonly policyEpoch: number } | undefined
  /** Relay calldata for any root of a round, signed by all voters: what no honest round has. */
  signRoot(round: number, merkleRoot: string, digests?: Digests): string
  /**
   * Waits until nobody but the one under test has a transaction under way, and keeps it so: what is
   * taken back with a block then is its own. Returns what lifts it.
   */
  hush(): Promise<() => void>
  /**
   * The node dies as by a power cut and begins again with the blocks it had. Transactions that waited
   * for a block are gone, but for the network's own, which are mined before.
   *
   * @param when it dies then, while nothing of the network's own is under way
   */
  restartNode(when?: Promise<unknown>): Promise<void>
  /**
   * Puts another Relay into the registry, as Flare does every few months. The old one takes rounds
   * up to the start of the policy that is set last, the new one those from there on.
   */
  replaceRelay(): Promise<{ readonly address: string; readonly boundaryRound: number }>
  /** Rejects when a part of the network fails; never resolves before `stop`. */
  readonly running: Promise<void>
  stop(): Promise<void>
}

/**
 * Starts a local Flare whose rounds and policies go on by themselves until `stop`.
 *
 * @throws Error when the node does not start or the contracts do not compile.
 */
export async function startFlare(options: FlareOptions): Promise<LocalFlare> {
  const anvil = await startAnvil(options.dir)
  const end = new AbortController()
  const releases: (() => Promise<void>)[] = [() => anvil.stop()]
  const stop = async (): Promise<void> => {
    end.abort()
    for (const release of releases.splice(0).reverse()) await release()
  }
  try {
    return await assemble(options, anvil, { signal: end.signal, releases, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

interface Life {
  readonly signal: AbortSignal
  /** Called from the last to the first. */
  readonly releases: (() => Promise<void>)[]
  readonly stop: () => Promise<void>
}

async function assemble(options: FlareOptions, anvil: Anvil, life: Life): Promise<LocalFlare> {
  const [governance, finalizer, neighbour, ...accounts] = anvil.accounts
  if (!governance || !finalizer || !neighbour) throw new Error('anvil has too few accounts')
  const chain = new Chain(anvil.rpcUrl, life.signal)
  await compiledContracts() // Before the clock is set: it may take longer than an epoch.
  const params = await paramsFrom(chain, options.roundSeconds ?? 3)
  const initial = firstPolicy()
  const contracts = await deployContracts({
    chain,
    governance: governance.address,
    params,
    initial,
    startDelayRounds: START_DELAY_ROUNDS,
    digests: options.olderRelayEpochs === undefined ? 'bound' : 'older',
  })
  const mineBlocks = () => chain.rpc('evm_setIntervalMining', [options.blockSeconds ?? 1])
  await mineBlocks()

  const faults = new FaultPlan()
  const proofs = new Proofs()
  const shared = { chain, contracts, params, faults, proofs }
  const senders = { governance: governance.address, sender: finalizer.address }
  const governed = { chain, governance: governance.address, params }
  const { olderRelayEpochs } = options
  const cutOverEpoch =
    olderRelayEpochs === undefined ? undefined : initial.rewardEpochId + olderRelayEpochs
  const replaceLast = async (): Promise<SigningPolicy> => {
    const { last } = policies
    const startDelayRounds = START_DELAY_ROUNDS
    await replaceRelay(contracts, { ...governed, initial: last, startDelayRounds })
    return last
  }
  const policiesParts = { ...shared, ...senders, cutOverEpoch, cutOver: replaceLast }
  const policies = new Policies(policiesParts, initial)
  const count = options.neighbours ?? 3
  const neighbours = new Neighbours({ ...shared, account: neighbour.address, count })
  const isNeighbours = (request: string): boolean => neighbours.isTheirs(request)
  const { number: seenBlock } = await chain.head()
  const roundsParts = { ...shared, policies, finalizer: finalizer.address, isNeighbours }
  const rounds = new Rounds(roundsParts, seenBlock)

  const now = async (): Promise<number> => (await chain.head()).timestamp
  const da = await startDaServer({ ...shared, now })
  life.releases.push(() => da.stop())
  const verifier = await startVerifierServer(shared)
  life.releases.push(() => verifier.stop())

  const steps = new Map<Stepper, number>()
  const hush = async (): Promise<() => void> => {
    const lift = faults.add({ kind: 'quiet', times: Number.POSITIVE_INFINITY })
    const before = new Map(steps)
    // The step after the one that is under way has begun with the fault on.
    const isBusy = (): boolean =>
      [rounds, policies, neighbours].some(
        (stepper) => (steps.get(stepper) ?? 0) < (before.get(stepper) ?? 0) + 2,
      )
    while (isBusy()) await sleep(HEAD_POLL_MS, undefined, { signal: life.signal })
    return lift
  }
  const running = runAll(chain, [rounds, policies, neighbours], steps, life.signal)
  life.releases.push(() => running)
  return {
    ...{ rpcUrl: anvil.rpcUrl, daUrl: da.url, verifierUrl: verifier.url },
    ...{ verifierKey: PUBLIC_VERIFIER_KEY, chainId: CHAIN_ID, registryAddress: REGISTRY_ADDRESS },
    ...{ anchorAddress: contracts.usageAnchor.address, accounts, params, faults, running },
    checkpoint: { rewardEpochId: initial.rewardEpochId, policyBytes: policyBytes(initial) },
    lastPolicy: () => policies.last,
    boundFrom: cutOverEpoch === undefined ? undefined : boundFrom(cutOverEpoch),
    signRoot: (round, root, digests = 'bound') =>
      signedRoot(policies.forRound(round), round, root, digests),
    hush,
    async restartNode(when) {
      const lift = await hush()
      try {
        await when
        await chain.pause(() => anvil.restart())
        await mineBlocks()
      } finally {
        lift()
      }
    },
    replaceRelay: async () => {
      const lift = faults.add({ kind: 'policyLate', times: Number.POSITIVE_INFINITY })
      try {
        for (;;) {
          const last = await replaceLast()
          // One was being set when we began: that one has to be the new Relay's first.
          if (policies.last !== last) continue
          return { address: contracts.relay.address, boundaryRound: last.startVotingRoundId }
        }
      } finally {
        lift()
      }
    },
    stop: life.stop,
  }
}

/** The policy of the epoch itself is still signed for the older Relay. */
function boundFrom(cutOverEpoch: number): LocalFlare['boundFrom'] {
  return { round: cutOverEpoch * ROUNDS_PER_EPOCH, policyEpoch: cutOverEpoch + 1 }
}

/** The present is the first round: of two networks started one after the other, ids are alike. */
async function paramsFrom(chain: Chain, roundSeconds: number): Promise<EpochParams> {
  const { timestamp } = await chain.head()
  return {
    firstVotingRoundStartTs: timestamp - FIRST_ROUND * roundSeconds,
    votingEpochDurationSeconds: roundSeconds,
    rewardEpochDurationInVotingEpochs: ROUNDS_PER_EPOCH,
    firstRewardEpochStartVotingRoundId: 0,
  }
}

function firstPolicy(): SigningPolicy {
  const rewardEpochId = FIRST_ROUND / ROUNDS_PER_EPOCH
  const voters = votersOf(rewardEpochId)
  return {
    rewardEpochId,
    startVotingRoundId: FIRST_ROUND,
    threshold: thresholdOf(voters),
    seed: seedOf(rewardEpochId),
    voters,
  }
}

interface Stepper {
  step(head: { number: number; timestamp: number }): Promise<void>
}

/** Lets each go its own pace: waiting for a root to be mined must not hold up a policy. */
async function runAll(
  chain: Chain,
  steppers: readonly Stepper[],
  steps: Map<Stepper, number>,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(steppers.map((stepper) => runOne(chain, stepper, steps, signal)))
}

async function runOne(
  chain: Chain,
  stepper: Stepper,
  steps: Map<Stepper, number>,
  signal: AbortSignal,
): Promise<void> {
  try {
    while (!signal.aborted) {
      await stepper.step(await chain.head())
      steps.set(stepper, (steps.get(stepper) ?? 0) + 1)
      await sleep(HEAD_POLL_MS, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
