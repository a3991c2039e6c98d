import type { Kysely } from 'kysely'
import { Random } from '../../../devnet/litellm/random.js'
import { type Hash, hash } from '../../../src/domain/bytes.js'
import { periodAt } from '../../../src/domain/period.js'
import type { Store } from '../../../src/ports/stores.js'
import { sqlStore } from '../../../src/store/store.js'
import type { Tables } from '../../../src/store/tables.js'
import type { Backup } from './database.js'
import { ModelAttestor } from './models/attestor.js'
import type { FlowState } from './models/contracts.js'
import { EvmChain } from './models/evm.js'
import { EvmLane } from './models/evm-lane.js'
import { FlowChain } from './models/flow.js'
import { FlowLane } from './models/flow-lane.js'
import { startLightClient } from './models/light-client.js'
import { ModelSource } from './models/litellm.js'
import { ModelMeterKey } from './models/meter.js'
import { Rounds, roundAt } from './models/rounds.js'
import { ModelSettler } from './models/settler.js'
import type { VaultState } from './models/vault.js'
import { MODELS_HELD, PLANS } from './plans.js'
import type { Schedule } from './schedule.js'
import { NO_FAULTS, Wire } from './wire.js'

export type Trace = (line: () => string) => void

export const TARGET: Hash = hash(`0x${'33'.repeat(32)}`)
/** Flow's number of our first meter. */
export const FIRST_EPOCH = 2
export const OUR_GAS_KEY = 'us'
const TOKENS = 100_000_000n
const WAD = 10n ** 18n

/** All that outlives our process: the time, LiteLLM, both chains, the meter's file, the store's. */
export class World {
  readonly schedule: Schedule
  readonly trace: Trace
  readonly random: Random
  readonly wires: Readonly<Record<'source' | 'other' | 'evm' | 'da' | 'flow', Wire>>
  /** The one in our settings. */
  meterKey = new ModelMeterKey('ours')
  /** Revoked, and in other hands. */
  oldMeter = new ModelMeterKey('revoked before')
  /** `next` is set by the provider, and not followed by our store yet. */
  readonly rotation: { name: string; count: number; next: ModelMeterKey | undefined } = {
    ...{ name: 'ours', count: 0, next: undefined },
  }
  readonly evm: EvmChain
  readonly rounds: Rounds
  readonly flow: FlowChain
  /** Our transactions whose bytes have left us. */
  readonly sent = new Set<string>()
  /** Those of Flow that were said to be gone, and at which height. */
  readonly saidGone = new Map<string, number>()
  readonly sources: readonly ModelSource[]
  readonly db: Kysely<Tables>
  /** As operators' tools have it: without crash points. */
  readonly store: Store
  nowMs: number
  /** By how much our own clock is wrong. */
  skewMs = 0
  /** Whoever named an account for a payer, ever. */
  readonly directory = new Map<string, Set<bigint>>()
  /** Statements of batches that were lost with the store. */
  readonly lost = new Set<string>()
  /** What the store held when it was copied; absent before that. */
  backup: Backup | undefined
  /** The store was lost, and the copy took its place. */
  isRestored = false
  isCalm = false

  constructor(schedule: Schedule, db: Kysely<Tables>, trace: Trace) {
    this.schedule = schedule
    this.trace = trace
    this.db = db
    this.nowMs = schedule.startMs
    this.random = new Random(schedule.seed ^ 0x5eed)
    const { random } = this
    const now = () => this.nowMs
    this.wires = {
      source: new Wire('source', random),
      other: new Wire('source', random),
      evm: new Wire('attestor', random),
      da: new Wire('attestor', random),
      flow: new Wire('settler', random),
    }
    const { roundsPerEpoch, epochsKept, rootsHeld, computationMax, lateStarts, meterDelay } =
      schedule.network
    this.evm = new EvmChain(random)
    this.rounds = new Rounds(this.evm, random, now, roundsPerEpoch)
    for (const [epoch, late] of lateStarts) this.rounds.lateStarts.set(epoch, late)
    const epoch = this.rounds.epochOf(roundAt(this.nowMs))
    const policy = this.rounds.policyBytes(epoch)
    const client = startLightClient(epoch, policy, { roundsPerEpoch, epochsKept })
    const breaking = new Set<bigint>()
    const rules = { target: TARGET, meterDelay, rootsHeld, entriesMax: computationMax, breaking }
    this.flow = new FlowChain(random, this.nowMs - 800, this.#firstState(client), rules)
    const { rows, settings } = schedule
    const { rowsMax } = settings
    this.sources = schedule.sources.map((name, index) => {
      const own = rows.filter(({ record }) => record.key.source === name)
      const wire = index === 0 ? this.wires.source : this.wires.other
      return new ModelSource({ name, rows: own, rowsMax, wire, random, nowMs: now })
    })
    this.store = sqlStore(db, this.clock)
    this.#setFaults()
  }

  readonly clock = { now: (): number => this.nowMs + this.skewMs }

  /** Ports of a new process: what a real adapter remembers only in memory is forgotten. */
  ports() {
    const { evm, rounds, flow, wires, sent, saidGone } = this
    const nowMs = () => this.nowMs
    const lane = new EvmLane(OUR_GAS_KEY, evm, wires.evm, nowMs, sent)
    const attestor = new ModelAttestor({
      ...{ chain: evm, rounds, lane, wire: wires.evm, daWire: wires.da, nowMs },
    })
    const told = { sent, gone: saidGone }
    const [first = '', ...more] = this.flowKeys
    const laneOf = (key: string) => new FlowLane(key, flow, wires.flow, told)
    const settler = new ModelSettler(flow, wires.flow, [laneOf(first), ...more.map(laneOf)])
    return { attestor, settler, meterKey: this.meterKey, sources: this.sources }
  }

  get flowKeys(): string[] {
    return Array.from({ length: this.schedule.network.flowKeys }, (_, index) => `us/${index}`)
  }

  /** Time passes: blocks, rounds, and what waited for them. */
  pass(ms: number): void {
    this.nowMs += ms
    this.evm.mine(Math.floor(this.nowMs / 1000))
    this.rounds.tick()
    this.flow.advanceTo(this.nowMs)
  }

  /** Nothing goes wrong from here on. */
  calm(): void {
    this.isCalm = true
    this.skewMs = 0
    for (const wire of Object.values(this.wires)) {
      wire.faults = NO_FAULTS
      wire.isDown = false
    }
    this.evm.basePrice = 1
    this.evm.emptyShare = 0
    this.rounds.plan = {}
    this.flow.poolFaults = { dropped: 0, late: 0, lateMax: 0 }
    this.flow.rules = { ...this.flow.rules, breaking: new Set() }
    this.flow.change((state) => ({ ...state, tokenPrice: WAD / 2n }))
  }

  #setFaults(): void {
    this.evm.emptyShare = 0.3
    for (const name of ['source', 'other', 'evm', 'da', 'flow'] as const) {
      this.wires[name].faults = this.schedule.wires[name]
    }
  }

  #firstState(client: FlowState['client']): FlowState {
    const vaults = new Map<bigint, VaultState>([
      [7n, newVault(this.nowMs, 'month', 40n)],
      [9n, newVault(this.nowMs, 'day', 5n)],
    ])
    // Else it is opened later, and takes no earlier period.
    if (this.schedule.seed % 2 === 0) vaults.set(11n, newVault(this.nowMs, 'week', 1_000n))
    const pool = [...vaults.values()].reduce((sum, { balance }) => sum + balance, 0n)
    const meter = this.meterKey.address
    return {
      client,
      stream: {
        ...{ meter, meterEpoch: FIRST_EPOCH, activeFrom: 0, highestSeq: 0n, roots: new Map() },
        revoked: new Set([this.oldMeter.address]),
      },
      vaults,
      earnings: 0n,
      pool,
      tokenPrice: WAD / 2n,
      maxCharge: undefined,
      plans: PLANS,
      models: MODELS_HELD,
    }
  }
}

export function newVault(
  nowMs: number,
  periodKind: VaultState['periodKind'],
  tokens: bigint,
): VaultState {
  const opened = periodAt(nowMs, periodKind).startsAt
  return {
    periodKind,
    openedPeriodStart: opened,
    floor: 0,
    plans: [{ fromPeriodStart: opened, planId: `${periodKind}-1` }],
    ...{ status: 'open', endsAt: undefined },
    ...{ isAutopayOn: true, isPaused: false, cap: undefined, entitled: undefined },
    balance: tokens * TOKENS,
    ...{ owed: 0n, charged: 0n, paid: 0n, writtenOff: 0n, spent: 0n, spentIn: 0 },
    records: new Map(),
    approved: new Map(),
  }
}

/** A customer's or provider's transaction about one vault. */
export function changeVault(
  { flow, random }: World,
  change: (
    vault: VaultState,
    now: number,
    state: FlowState,
  ) =>
    | VaultState
    | { readonly vault: VaultState; readonly moved: bigint; readonly deposited?: bigint },
): void {
  flow.change((state) => {
    const [account, before] = random.pick([...state.vaults])
    const changed = change(before, flow.timeOf(flow.height), state)
    const isMoney = 'vault' in changed
    const { vault, moved, deposited = 0n } = isMoney ? changed : { vault: changed, moved: 0n }
    return {
      ...state,
      vaults: new Map(state.vaults).set(account, vault),
      earnings: state.earnings + moved,
      pool: state.pool + deposited,
    }
  })
}

export function openVault({ flow, nowMs }: World, account: bigint): void {
  if (flow.state().vaults.has(account)) return
  flow.change((state) => {
    const vault = newVault(nowMs, 'week', 1_000n)
    const vaults = new Map(state.vaults).set(account, vault)
    return { ...state, vaults, pool: state.pool + vault.balance }
  })
}
