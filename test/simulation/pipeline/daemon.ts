import { assert, ConfigError, RetryableError } from '../../../src/domain/errors.js'
import { mappingConfig } from '../../../src/mapping/index.js'
import { acceptNext } from '../../../src/pipeline/accept.js'
import { anchorNext } from '../../../src/pipeline/anchor.js'
import { attestNext } from '../../../src/pipeline/attest.js'
import { attributeNext } from '../../../src/pipeline/attribute.js'
import { attributionSettings } from '../../../src/pipeline/attribution-settings.js'
import { type CollectPass, collectNext, rescanNext } from '../../../src/pipeline/collect.js'
import { bindIdentity } from '../../../src/pipeline/identity.js'
import { checkMeter, checkMeterLevel } from '../../../src/pipeline/meter-guard.js'
import { policiesNext } from '../../../src/pipeline/policies.js'
import { type ReconcilePass, reconcileNext } from '../../../src/pipeline/reconcile.js'
import { sealNext } from '../../../src/pipeline/seal.js'
import { type SettlePass, settleNext } from '../../../src/pipeline/settle.js'
import { walletsNext } from '../../../src/pipeline/wallets.js'
import { defaultPlanAliases } from '../../../src/pricing/default-plan.js'
import type { StepOutcome } from '../../../src/runtime/worker.js'
import { sqlStore } from '../../../src/store/store.js'
import { Crash, type Process } from './process.js'
import type { World } from './world.js'

const BACKOFF_MS_MAX = 60_000
export const RECEIPT_SECRET = 'canary: nobody but its customer may find a record'

export const ATTRIBUTION = attributionSettings({
  mapping: mappingConfig.parse({}),
  modelAliases: defaultPlanAliases,
  holdUnknownModels: false,
})

interface Worker {
  readonly name: string
  readonly step: () => Promise<StepOutcome>
  readonly idleMs: number
  /** Rung when this one has advanced. */
  readonly next?: string
  dueAtMs: number
  failures: number
  isRunning: boolean
}

/** What wraps the wiring of a process, to plant a bug in it. */
export interface Wiring {
  store<Watched extends object>(store: Watched, worker: string): Watched
  ports<Ports extends ReturnType<World['ports']>>(ports: Ports): Ports
}

export const AS_IT_IS: Wiring = { store: (store) => store, ports: (ports) => ports }

/** Our process: all workers of the daemon, wired as `app.ts` has them, at once. */
export class Daemon {
  readonly process: Process
  readonly ports: ReturnType<World['ports']>
  /** Ended it by itself: a bug, or an identity that is not the store's. */
  ended: Error | undefined
  readonly #world: World
  readonly #workers = new Map<string, Worker>()
  #isStarted = false

  constructor(world: World, process: Process, wiring: Wiring) {
    this.#world = world
    this.process = process
    this.ports = wiring.ports(world.ports())
    for (const worker of this.#wire(wiring)) this.#workers.set(worker.name, worker)
  }

  get isGone(): boolean {
    return this.process.isCrashed || this.ended !== undefined
  }

  get isBusy(): boolean {
    return [...this.#workers.values()].some(({ isRunning }) => isRunning)
  }

  /** When the next worker is due, ms; now or earlier when one is. */
  get nextDueMs(): number {
    const due = [...this.#workers.values()].filter(({ isRunning }) => !isRunning)
    return Math.min(...due.map(({ dueAtMs }) => dueAtMs))
  }

  /** One move of the scheduler: a call is carried out, or a step begins. False when all wait. */
  async turn(): Promise<boolean> {
    const { random, nowMs, trace } = this.#world
    const due = [...this.#workers.values()].filter(
      ({ isRunning, dueAtMs }) => !isRunning && dueAtMs <= nowMs,
    )
    const startable = this.#isStarted ? due : due.filter(({ name }) => name === 'start')
    const isStart = startable.length > 0 && (!this.isBusy || random.next() < 0.25)
    if (isStart) this.#begin(random.pick(startable))
    else {
      const done = this.process.next()
      if (done === undefined) return false
      trace(() => `    ${done}`)
    }
    await this.process.settle()
    return true
  }

  async kill(): Promise<void> {
    await this.process.kill()
  }

  #begin(worker: Worker): void {
    worker.isRunning = true
    worker.step().then(
      (outcome) => this.#note(worker, outcome),
      (error: unknown) => this.#fail(worker, error),
    )
  }

  #note(worker: Worker, outcome: StepOutcome): void {
    const { nowMs, trace } = this.#world
    trace(() => `  ${worker.name} ${outcome}`)
    worker.isRunning = false
    worker.failures = 0
    if (worker.name === 'start') {
      this.#isStarted = true
      worker.dueAtMs = Number.POSITIVE_INFINITY
      return
    }
    worker.dueAtMs = outcome === 'advanced' ? nowMs : nowMs + worker.idleMs
    const next = worker.next === undefined ? undefined : this.#workers.get(worker.next)
    if (outcome === 'advanced' && next !== undefined && next.failures === 0) next.dueAtMs = nowMs
  }

  #fail(worker: Worker, error: unknown): void {
    const { nowMs, trace } = this.#world
    worker.isRunning = false
    if (this.process.isCrashed || error instanceof Crash) return
    trace(() => `  ${worker.name} failed: ${String(error)}`)
    if (!(error instanceof RetryableError)) {
      this.ended = error instanceof Error ? error : new Error(String(error))
      return
    }
    worker.dueAtMs = nowMs + Math.min(1_000 * 2 ** Math.min(worker.failures, 16), BACKOFF_MS_MAX)
    worker.failures += 1
  }

  #wire(wiring: Wiring): Worker[] {
    const { process } = this
    const { clock, schedule, nowMs, db } = this.#world
    const { settings } = schedule
    const { signal } = process
    const whole = sqlStore(db.withPlugin(process), clock)
    const storeOf = (worker: string) => wiring.store(process.watch(whole, worker, true), worker)
    const portsOf = (worker: string) => ({
      attestor: process.watch(this.ports.attestor, worker),
      settler: process.watch(this.ports.settler, worker),
      meterKey: process.watch(this.ports.meterKey, worker),
      sources: this.ports.sources.map((source) => process.watch(source, worker)),
    })
    const make = (
      name: string,
      stepOf: (
        store: ReturnType<typeof storeOf>,
        ports: ReturnType<typeof portsOf>,
      ) => Worker['step'],
      more: { readonly idleMs?: number; readonly next?: string } = {},
    ): Worker => {
      const step = stepOf(storeOf(name), portsOf(name))
      const { idleMs = settings.idleMs, ...rest } = more
      return { name, step, idleMs, ...rest, dueAtMs: nowMs, failures: 0, isRunning: false }
    }
    const meter = this.ports.meterKey.address
    const reconciled: ReconcilePass = {}
    const settlePass: SettlePass = {}
    const collect = { settleMs: 5_000, overlapMs: settings.overlapMs }
    const rescan = { ...collect, rescanMs: settings.rescanMs, rescanEveryMs: 1_800_000 }
    const rules = { intervalMs: settings.sealIntervalMs, exposure: settings.exposure }
    return [
      make('start', (store, ports) => () => start(store, ports, meter, signal, schedule)),
      ...schedule.sources.flatMap((name, index) => {
        const [ahead, behind]: [CollectPass, CollectPass] = [{}, {}]
        const partsOf = (store: World['store'], { sources }: Pick<Ports, 'sources'>) => {
          const source = sources[index]
          assert(source !== undefined, 'a worker for each source')
          return { ...store, source, clock }
        }
        return [
          make(
            `collect/${name}`,
            (store, ports) => () =>
              collectNext({ ...partsOf(store, ports), settings: collect }, ahead, signal),
            { next: 'attribute' },
          ),
          make(
            `rescan/${name}`,
            (store, ports) => () =>
              rescanNext({ ...partsOf(store, ports), settings: rescan }, behind, signal),
            { next: 'attribute', idleMs: 600_000 },
          ),
        ]
      }),
      make('attribute', (store) => () => attributeNext({ ...store, settings: ATTRIBUTION }), {
        next: 'seal',
      }),
      make(
        'seal',
        (store, { attestor, settler }) => {
          const parts = {
            ...{ store, clock, target: settler.identity.target, attribution: ATTRIBUTION },
            settings: { rules, receiptSecret: RECEIPT_SECRET, bounds: settings.bounds },
            sourcesRead: schedule.sources,
            checkMeter: (stop: AbortSignal) => checkMeterLevel({ ...store, attestor, meter }, stop),
          }
          return () => sealNext(parts, signal)
        },
        { next: 'anchor' },
      ),
      make(
        'anchor',
        (store, { attestor, meterKey }) =>
          () =>
            anchorNext({ ...store, attestor, meterKey }, signal),
        { next: 'attest' },
      ),
      make(
        'attest',
        (store, { attestor }) =>
          () =>
            attestNext({ ...store, attestor, meter }, signal),
        { next: 'accept' },
      ),
      make(
        'accept',
        (store, { attestor, settler }) =>
          () =>
            acceptNext({ ...store, attestor, settler }, signal),
        { next: 'settle' },
      ),
      make(
        'settle',
        (store, { settler }) =>
          () =>
            settleNext(
              { store, settler, entriesMax: settings.entriesMax, pass: settlePass },
              signal,
            ),
        { next: 'reconcile' },
      ),
      make(
        'policies',
        (store, { attestor: follower, settler }) =>
          () =>
            policiesNext({ ...store, follower, settler, clock }, signal),
        { idleMs: 300_000 },
      ),
      make(
        'wallets',
        (store, { attestor, settler }) =>
          () =>
            walletsNext({ ...store, attestor, settler }, signal),
        { idleMs: 900_000 },
      ),
      make(
        'reconcile',
        (store, { attestor, settler }) => {
          const lanes = [attestor.lane, ...settler.lanes]
          return () => reconcileNext({ store, settler, lanes, clock }, reconciled, signal)
        },
        { next: 'attribute', idleMs: 2 * settings.idleMs },
      ),
    ]
  }
}

type Ports = ReturnType<World['ports']>

/** What `app.ts` does before its workers begin. */
async function start(
  store: World['store'],
  { attestor, settler, meterKey }: Pick<Ports, 'attestor' | 'settler' | 'meterKey'>,
  meter: Ports['meterKey']['address'],
  signal: AbortSignal,
  { startMs, sources }: World['schedule'],
): Promise<StepOutcome> {
  await bindIdentity(store.identity, {
    anchor: attestor.identity.anchorAddress,
    target: settler.identity.target,
    meter: meterKey.address,
  })
  await checkMeter({ ...store, attestor, meter }, signal).catch((error: unknown) => {
    if (!(error instanceof RetryableError)) throw error
  })
  await settler.checkLanes(signal).catch((error: unknown) => {
    if (!(error instanceof RetryableError)) throw error
  })
  for (const name of sources) await store.records.addSource(name, startMs - 300_000)
  return 'idle'
}

export function isIdentityError(error: Error): boolean {
  return error instanceof ConfigError
}
