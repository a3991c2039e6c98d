import { expect } from 'vitest'
import { Random } from '../../../devnet/litellm/random.js'
import type { BatchHeader } from '../../../src/domain/batch.js'
import { type Hash, type Hex, keccak, utf8, ZERO_HASH } from '../../../src/domain/bytes.js'
import {
  CHUNK_MAX,
  chunkHash,
  chunksOf,
  compareEntries,
  type Entry,
  entryBytes,
  entryLeaf,
} from '../../../src/domain/entry.js'
import { batchSeq } from '../../../src/domain/ids.js'
import { merklePath, merkleRoot, rootFromPath } from '../../../src/domain/merkle.js'
import type { BatchProof, EntryRun, PolicySignature } from '../../../src/domain/proof.js'
import type { Call, Lane } from '../../../src/ports/lane.js'
import type { AttestorWorld } from '../../ports/attestor-contract.js'
import type { LaneWorld } from '../../ports/lane-contract.js'
import type { SettlerWorld } from '../../ports/settler-contract.js'
import { ModelAttestor, policyProofOf } from './models/attestor.js'
import type { FlowBody } from './models/contracts.js'
import { type EvmBody, EvmChain } from './models/evm.js'
import { EvmLane } from './models/evm-lane.js'
import { FlowChain } from './models/flow.js'
import { FlowLane } from './models/flow-lane.js'
import { startLightClient } from './models/light-client.js'
import { ModelMeterKey } from './models/meter.js'
import {
  attestationLeaf,
  isSigned,
  policyMessage,
  ROUND_MS,
  Rounds,
  rootMessage,
  signaturesOf,
} from './models/rounds.js'
import { ModelSettler } from './models/settler.js'
import { beginEnding, endVault, type VaultState } from './models/vault.js'
import { MODELS_HELD, PLANS } from './plans.js'
import { Wire } from './wire.js'
import { newVault, TARGET } from './world.js'

const START_MS = Date.UTC(2027, 0, 20, 12)
const ROUNDS_AN_EPOCH = 20
/** Where policies are waited for. */
const SHORT_EPOCH = 4
const SECOND = 1_000
const WAD = 10n ** 18n

/** An object on each of whose calls some time passes. */
function ticking<Thing extends object>(thing: Thing, tick: () => void): Thing {
  return new Proxy(thing, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value === 'function') {
        return (...args: unknown[]) => {
          const result: unknown = Reflect.apply(value, target, args)
          tick()
          return result
        }
      }
      return name === 'lane' ? ticking(value as object, tick) : value
    },
  })
}

function downWire(name: string, random: Random): Wire {
  const wire = new Wire(name, random)
  wire.isDown = true
  return wire
}

/** Chain, rounds and proofs of the model, whose time passes with each question. */
class FlareWorld {
  readonly random = new Random(1)
  readonly evm = new EvmChain(this.random)
  nowMs = START_MS
  readonly rounds = new Rounds(this.evm, this.random, () => this.nowMs, SHORT_EPOCH)

  readonly tick = (ms = 15 * SECOND): void => {
    this.nowMs += ms
    this.evm.mine(Math.floor(this.nowMs / 1000))
    this.rounds.tick()
  }

  laneOf(key: string, wire = new Wire('lane', this.random)): EvmLane {
    return new EvmLane(key, this.evm, wire, () => this.nowMs, new Set())
  }

  attestorOn(wire: Wire): ModelAttestor {
    const [chain, nowMs] = [this.evm, () => this.nowMs]
    const lane = this.laneOf('us', wire)
    return new ModelAttestor({ chain, rounds: this.rounds, lane, wire, daWire: wire, nowMs })
  }
}

export async function modelFlare(): Promise<AttestorWorld> {
  const world = new FlareWorld()
  world.tick()
  const { random, rounds, evm, tick } = world
  const attestor = world.attestorOn(new Wire('attestor', random))
  const first = rounds.epochOf(rounds.current)
  let meters = 0
  return {
    attestor: ticking(attestor, tick),
    impatient: ticking(attestor, tick),
    cutOff: world.attestorOn(downWire('attestor', random)),
    newMeter() {
      meters += 1
      return new ModelMeterKey(`${meters}`)
    },
    checkpoint: { rewardEpoch: first, policy: rounds.policyBytes(first) },
    dropNextRequest: () => void Object.assign(rounds.plan, { isLossy: true }),
    failNextRound: () => void Object.assign(rounds.plan, { isNeverFinalised: true }),
    delayNextProofs: (serveDelayMs) => void Object.assign(rounds.plan, { serveDelayMs }),
    answerNext: (...answers) => {
      attestor.serverAnswers.splice(0, attestor.serverAnswers.length, ...answers)
    },
    async sendAsStranger({ body }) {
      evm.sendAs('stranger', body as EvmBody)
      tick()
    },
    checkProof(proof, policy) {
      const leaf = attestationLeaf(proof.attested, proof.meter, proof.header)
      expect(rootFromPath(leaf, proof.path)).toBe(proof.rootProof.root)
      const { round, root, signatures } = proof.rootProof
      checkSigned(epochOf(policy), rootMessage(round, root), signatures)
    },
    checkPolicy({ policy, signatures }, previousPolicy) {
      checkSigned(epochOf(previousPolicy), policyMessage(policy), signatures)
    },
    async end() {},
  }
}

function epochOf(policy: string): number {
  return JSON.parse(Buffer.from(policy.slice(2), 'hex').toString('utf8')).epoch
}

function checkSigned(epoch: number, message: Hash, signatures: readonly PolicySignature[]): void {
  expect(isSigned(epoch, message, signatures)).toBe(true)
}

export async function modelEvmLane(): Promise<LaneWorld> {
  const world = new FlareWorld()
  const { evm, random, tick } = world
  let calls = 0
  const anchorOf = async (meter: ModelMeterKey): Promise<Call> => {
    const header = headerOf(1n, ZERO_HASH, keccak(utf8(meter.address)))
    const body: EvmBody = { kind: 'anchor', header, signature: await meter.sign(header) }
    return { what: 'anchor', body }
  }
  return {
    lane: ticking(world.laneOf('us'), tick),
    reopen: () => ticking(world.laneOf('us'), tick),
    cutOff: () => world.laneOf('us', downWire('lane', random)),
    call: () => {
      calls += 1
      const anchor = { txHash: keccak(utf8(`call ${calls}`)), blockNumber: 0, logIndex: 0 }
      return { what: 'request', body: { kind: 'request', anchor } satisfies EvmBody }
    },
    effects: async () => evm.view().requests.length,
    async doomedCall() {
      calls += 1
      const meter = new ModelMeterKey(`doomed ${calls}`)
      const call = await anchorOf(meter)
      const spoil = async () => {
        evm.sendAs('stranger', call.body as EvmBody)
        tick()
      }
      return { call, spoil }
    },
    async end() {},
  }
}

/** Flow of the model with two vaults; what Flare would sign is signed here. */
class FlowWorld {
  readonly random = new Random(2)
  nowMs = START_MS
  readonly chain: FlowChain
  readonly epoch = Math.floor(START_MS / ROUND_MS / ROUNDS_AN_EPOCH)
  readonly meter = new ModelMeterKey('the provider’s').address

  constructor() {
    const policy = this.#policies.policyBytes(this.epoch)
    const lengths = { roundsPerEpoch: ROUNDS_AN_EPOCH, epochsKept: 4 }
    const vaults = new Map([
      [7n, newVault(START_MS, 'month', 25n)],
      [9n, newVault(START_MS, 'month', 2n)],
    ])
    const state = {
      client: startLightClient(this.epoch, policy, lengths),
      stream: {
        ...{ meter: this.meter, meterEpoch: 1, activeFrom: 0 },
        ...{ highestSeq: 0n, roots: new Map(), revoked: new Set<Hex>() },
      },
      vaults,
      ...{ earnings: 0n, tokenPrice: WAD / 2n, maxCharge: undefined },
      ...{ plans: PLANS, models: MODELS_HELD },
      pool: [...vaults.values()].reduce((sum, { balance }) => sum + balance, 0n),
    }
    const rules = {
      target: TARGET,
      meterDelay: 0,
      rootsHeld: 256n,
      entriesMax: 1_000,
      breaking: new Set<bigint>(),
    }
    this.chain = new FlowChain(this.random, START_MS - 60 * SECOND, state, rules)
    this.tick()
  }

  readonly #policies = new Rounds(
    new EvmChain(new Random(3)),
    new Random(3),
    () => START_MS,
    ROUNDS_AN_EPOCH,
  )

  readonly tick = (): void => {
    this.nowMs += 4 * SECOND
    this.chain.advanceTo(this.nowMs)
  }

  changeVault(
    account: bigint,
    change: (
      vault: VaultState,
      terms: { readonly now: number; readonly tokenPrice: bigint },
    ) => { readonly vault: VaultState; readonly moved: bigint },
  ): void {
    const now = this.chain.timeOf(this.chain.height)
    this.chain.change((state) => {
      const before = state.vaults.get(account)
      if (before === undefined) throw new Error(`no vault ${account}`)
      const { vault, moved } = change(before, { now, tokenPrice: state.tokenPrice })
      const vaults = new Map(state.vaults).set(account, vault)
      return { ...state, vaults, earnings: state.earnings + moved }
    })
  }

  laneOf(key: string, wire = new Wire('lane', this.random)): FlowLane {
    return new FlowLane(key, this.chain, wire, { sent: new Set(), gone: new Map() })
  }

  settlerOf(key: string): ModelSettler {
    return new ModelSettler(this.chain, new Wire('settler', this.random), [this.laneOf(key)])
  }

  policy(epoch: number) {
    return policyProofOf(this.#policies, epoch)
  }
}

export async function modelFlow(): Promise<SettlerWorld> {
  const world = new FlowWorld()
  const settler = world.settlerOf('us/0')
  let [seq, prevRoot] = [0n, ZERO_HASH]
  return {
    settler,
    neighbour: world.settlerOf('neighbour/0'),
    accounts: [7n, 9n],
    periodStart: Date.UTC(2027, 0, 1) / 1000,
    meter: world.meter,
    async prove(entries, chunkMax = CHUNK_MAX) {
      seq += 1n
      const { root, runs } = treeOf(entries, chunkMax)
      const header = headerOf(seq, prevRoot, root)
      prevRoot = root
      return { proof: proofOf(world, header), runs }
    },
    signersOf: () => ({ threshold: 0, voters: [] }),
    nextPolicy: async () => world.policy(world.chain.state().client.lastEpoch + 1),
    nextBlock: async () => world.tick(),
    limitCharges: async (maxCharge) => world.chain.change((state) => ({ ...state, maxCharge })),
    approve: async ({ accountNumber, periodStart }, upTo) =>
      world.changeVault(accountNumber, (vault) => {
        const approved = new Map(vault.approved).set(periodStart, upTo)
        return { vault: { ...vault, approved }, moved: 0n }
      }),
    close: async (account) =>
      world.changeVault(account, (vault, terms) =>
        endVault(beginEnding(vault, 'leaving', terms.now), terms),
      ),
    async end() {},
  }
}

export async function modelFlowLane(): Promise<LaneWorld> {
  const world = new FlowWorld()
  const { chain, random, tick } = world
  let rounds = 0
  const rootCall = (signers: number): { kind: 'root'; round: number } & FlowBody => {
    rounds += 1
    const round = world.epoch * ROUNDS_AN_EPOCH + (rounds % ROUNDS_AN_EPOCH)
    const root = keccak(utf8(`root ${round}`))
    const signatures = signaturesOf(world.epoch, rootMessage(round, root), signers)
    return { kind: 'root', round, proof: { round, root, signatures } }
  }
  const laneOf = (): Lane => ticking(world.laneOf('us/0'), tick)
  return {
    lane: laneOf(),
    reopen: laneOf,
    cutOff: () => world.laneOf('us/0', downWire('lane', random)),
    call: () => ({ what: 'root', body: rootCall(2) }),
    effects: async () => rootsOf(chain),
    async doomedCall() {
      const { client } = chain.state()
      const proof = world.policy(client.lastEpoch + 1)
      const call: Call = { what: 'policy', body: { kind: 'policy', proof } satisfies FlowBody }
      const spoil = async () => void chain.runAsStranger({ kind: 'policy', proof })
      return { call, spoil }
    },
    async end() {},
  }
}

function rootsOf(chain: FlowChain): number {
  const { policies } = chain.state().client
  return [...policies.values()].reduce((sum, { roots }) => sum + roots.size, 0)
}

function proofOf(world: FlowWorld, header: BatchHeader): BatchProof {
  const round = world.epoch * ROUNDS_AN_EPOCH + Number(header.seq)
  const attested = {
    ...{ round, txHash: keccak(header.root), logIndex: 0, blockNumber: 1n, timestamp: 1n },
    ...{ sourceAddress: world.meter, receivingAddress: world.meter },
    ...{ isDeployment: false, value: 0n, input: 'zero_byte' as const },
  }
  const nodes = [attestationLeaf(attested, world.meter, header), keccak(utf8('another'))].sort()
  const root = merkleRoot(nodes)
  const path = merklePath(nodes, nodes.indexOf(attestationLeaf(attested, world.meter, header)))
  const signatures = signaturesOf(world.epoch, rootMessage(round, root))
  const rootProof = { round, root, rewardEpoch: world.epoch, signatures }
  return { header, meter: world.meter, attested, path, rootProof }
}

/** A run for each chunk, with all of its entries. */
function treeOf(
  entries: readonly Entry[],
  chunkMax: number,
): { readonly root: Hash; readonly runs: readonly EntryRun[] } {
  const sorted = entries.toSorted(compareEntries)
  const chunks = chunksOf(sorted.map(entryLeaf), chunkMax).map(chunkHash)
  const runs = chunks.map((_, i) => ({
    leavesBefore: [],
    entries: sorted.slice(i * chunkMax, (i + 1) * chunkMax).map(entryBytes),
    leavesAfter: [],
    path: merklePath(chunks, i),
  }))
  return { root: merkleRoot(chunks), runs }
}

function headerOf(seq: bigint, prevRoot: Hash, root: Hash): BatchHeader {
  const rest = { sealedAt: 1_790_000_000, target: TARGET, manifest: keccak(root) }
  return { seq: batchSeq(seq), root, prevRoot, ...rest }
}
