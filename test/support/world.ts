import type { BatchState } from '../../src/domain/batch.js'
import { RetryableError } from '../../src/domain/errors.js'
import { batchName, storedBatchId } from '../../src/domain/ids.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import { createMapping, mappingConfig } from '../../src/mapping/index.js'
import { acceptNext } from '../../src/pipeline/accept.js'
import { anchorNext } from '../../src/pipeline/anchor.js'
import { attestNext } from '../../src/pipeline/attest.js'
import { type AttributeSettings, attributeNext } from '../../src/pipeline/attribute.js'
import { type ChargeBounds, NO_BOUNDS } from '../../src/pipeline/bounds.js'
import { collectNext } from '../../src/pipeline/collect.js'
import type { BatchLimits } from '../../src/pipeline/draft.js'
import { bindIdentity } from '../../src/pipeline/identity.js'
import { checkMeter } from '../../src/pipeline/meter-guard.js'
import { reconcileNext } from '../../src/pipeline/reconcile.js'
import { sealNext } from '../../src/pipeline/seal.js'
import { settleNext } from '../../src/pipeline/settle.js'
import type { Store, StoredBatch } from '../../src/ports/stores.js'
import { defaultPlanAliases } from '../../src/pricing/default-plan.js'
import type { StepOutcome } from '../../src/runtime/worker.js'
import { CrashPlan } from './crash-plan.js'
import { ManualClock } from './manual-clock.js'
import { StoreFile } from './store-file.js'
import { epochOf, TestFlare, TestMeterKey } from './test-flare.js'
import { TestFlow } from './test-flow.js'
import { TestSource } from './test-source.js'
import { EVENING_MS } from './usage.js'

export const STEP_NAMES = [
  ...(['collect', 'attribute', 'seal', 'anchor', 'attest', 'accept', 'settle'] as const),
  'reconcile',
] as const
export type StepName = (typeof STEP_NAMES)[number]

export const SEAL_INTERVAL_MS = 600_000
export const RECEIPT_SECRET = 'a secret for receipts of tests'
/** Of every tick of the world. */
const TICK_MS = 30_000
/** Calls of one step in a row that advanced, before something must be wrong. */
const ADVANCES_MAX = 500
const ROUNDS_MAX = 200

export interface WorldParts {
  /** Keys of the daemon on Flow; one unless told. */
  readonly lanes?: number
  readonly entriesMax?: number
  readonly isUnknownModelHeld?: boolean
  /** Between two batches. */
  readonly intervalMs?: number
  /** Of unsealed usage, in wad: above it a batch is sealed before its time. */
  readonly exposure?: bigint
  readonly bounds?: ChargeBounds
  readonly limits?: BatchLimits
}

/** All that outlives the daemon: LiteLLM, both chains, the meter's file and the store's. */
export class World {
  readonly clock = new ManualClock(EVENING_MS)
  readonly source = new TestSource('main', this.clock)
  /** The one in the daemon's settings. */
  meterKey = new TestMeterKey()
  readonly flare = new TestFlare(this.meterKey.address)
  readonly flow: TestFlow
  readonly file = new StoreFile(this.clock)
  readonly parts: WorldParts

  constructor(parts: WorldParts = {}) {
    this.parts = parts
    this.flow = new TestFlow(this.meterKey.address, epochOf(this.flare.round), parts.lanes)
  }

  /** Starts a daemon, which ends at a point of the plan. */
  async boot(plan = new CrashPlan()): Promise<Daemon> {
    const store = await this.file.open()
    await store.records.addSource(this.source.name, EVENING_MS - 3_600_000)
    await bindIdentity(store.identity, { meter: this.meterKey.address })
    return new Daemon(this, store, plan)
  }

  /** A new process, after the one before has died or ended. */
  async reboot(daemon: Daemon, plan?: CrashPlan): Promise<Daemon> {
    await this.file.close(daemon.store)
    return this.boot(plan)
  }

  /** Time passes, and every chain goes on by a block. */
  tick(ms = TICK_MS): void {
    this.clock.pass(ms)
    this.flare.tick()
    this.flow.tick()
  }

  use(...records: readonly UsageRecord[]): void {
    this.source.rows.push(...records)
  }
}

/** A daemon's steps with what they remember, in the order of a record's way. */
export class Daemon {
  /** Without crash points: for the test to look at. */
  readonly store: Store
  readonly plan: CrashPlan
  readonly retried: string[] = []
  readonly #world: World
  readonly #steps: Readonly<Record<StepName, () => Promise<StepOutcome>>>

  constructor(world: World, store: Store, plan: CrashPlan) {
    this.#world = world
    this.store = store
    this.plan = plan
    this.#steps = stepsOf(world, plan.watch(store), plan)
  }

  /** One call of one step. */
  step(name: StepName): Promise<StepOutcome> {
    return this.#steps[name]()
  }

  /** A step until it is idle, as its worker would: what may pass is noted and left for later. */
  async run(...names: readonly StepName[]): Promise<void> {
    for (const name of names) {
      try {
        for (let calls = 0; (await this.step(name)) === 'advanced'; calls += 1) {
          if (calls > ADVANCES_MAX) throw new Error(`${name} never comes to rest`)
        }
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error
        this.retried.push(error.code)
      }
    }
  }

  /** All steps, then a tick, a number of times. */
  async runRounds(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      await this.run('reconcile', ...STEP_NAMES)
      this.#world.tick()
    }
  }
}

export function attributionOf({ isUnknownModelHeld = false }: WorldParts = {}): AttributeSettings {
  return {
    payerField: 'user',
    map: createMapping(mappingConfig.parse({})),
    modelAliases: defaultPlanAliases,
    isUnknownModelHeld,
    version: `settings ${isUnknownModelHeld}`,
  }
}

function stepsOf(
  { flare, flow, meterKey, source, clock, parts }: World,
  store: Store,
  plan: CrashPlan,
): Record<StepName, () => Promise<StepOutcome>> {
  const { signal } = plan
  const [attestor, settler] = [plan.watch(flare), plan.watch(flow)]
  const meter = meterKey.address
  const attribution = attributionOf(parts)
  const [collected, reconciled, pass] = [{}, {}, {}]
  const collect = {
    ...store,
    source: plan.watch(source),
    clock,
    settings: { settleMs: 0, overlapMs: 600_000 },
  }
  const seal = {
    store,
    clock,
    target: flow.identity.target,
    attribution,
    settings: {
      rules: { intervalMs: parts.intervalMs ?? SEAL_INTERVAL_MS, exposure: parts.exposure },
      receiptSecret: RECEIPT_SECRET,
      bounds: parts.bounds ?? NO_BOUNDS,
      ...(parts.limits === undefined ? {} : { limits: parts.limits }),
    },
    sourcesRead: [source.name],
    checkMeter: (stop: AbortSignal) => checkMeter({ ...store, attestor, meter }, stop),
  }
  const { entriesMax = 100 } = parts
  const lanes = [attestor.lane, ...settler.lanes]
  return {
    collect: () => collectNext(collect, collected, signal),
    attribute: () => attributeNext({ ...store, settings: attribution }),
    seal: () => sealNext(seal, signal),
    anchor: () => anchorNext({ ...store, attestor, meterKey: plan.watch(meterKey) }, signal),
    attest: () => attestNext({ ...store, attestor, meter }, signal),
    accept: () => acceptNext({ ...store, attestor, settler }, signal),
    settle: () => settleNext({ store, settler, entriesMax, pass }, signal),
    reconcile: () => reconcileNext({ store, settler, lanes, clock }, reconciled, signal),
  }
}

/** Runs one step after the other, without those behind it, until the batch is in a state. */
export async function runUntil(
  world: World,
  daemon: Daemon,
  state: BatchState,
  id = 1n,
): Promise<StoredBatch> {
  const after: Readonly<Partial<Record<BatchState, number>>> = {
    sealed: STEP_NAMES.indexOf('seal'),
    anchored: STEP_NAMES.indexOf('anchor'),
    requested: STEP_NAMES.indexOf('attest'),
    finalised: STEP_NAMES.indexOf('attest'),
    attested: STEP_NAMES.indexOf('attest'),
    accepted: STEP_NAMES.indexOf('accept'),
  }
  const steps = STEP_NAMES.slice(0, (after[state] ?? STEP_NAMES.length) + 1)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    await daemon.run('reconcile')
    for (const step of steps) {
      // One call at a time: a step that advanced twice would pass by the state that is wanted.
      for (let calls = 0; calls < ADVANCES_MAX; calls += 1) {
        const batch = await daemon.store.batches.get(storedBatchId(id))
        if (batch?.life.state === state) return batch
        if ((await daemon.step(step)) === 'idle') break
      }
    }
    world.tick()
  }
  throw new Error(`batch ${batchName(storedBatchId(id))} was never ${state}`)
}
