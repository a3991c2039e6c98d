import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { StoredCall } from '../../../devnet/litellm/calls.js'
import { type DirectLitellm, directLitellm } from '../../../devnet/litellm/index.js'
import { RetryableError } from '../../../src/domain/errors.js'
import { type CollectPass, collectNext, rescanNext } from '../../../src/pipeline/collect.js'
import type { Store } from '../../../src/ports/stores.js'
import type { UsageSource } from '../../../src/ports/usage-source.js'
import { litellmConfig } from '../../../src/sources/litellm/config.js'
import { litellmSource } from '../../../src/sources/litellm/source.js'
import { openStore } from '../../../src/store/index.js'
import { openSqlite } from '../../../src/store/sqlite.js'
import { sqlStore } from '../../../src/store/store.js'
import { Crash, CrashPoint } from './crash.js'
import { type Instance, type Schedule, START_MS } from './schedule.js'

export type Trace = (line: string) => void

/** One LiteLLM with the names under which we read it. */
export interface ProxyWorld {
  readonly instance: Instance
  readonly litellm: DirectLitellm
  readonly sources: readonly string[]
}

/** Steps of one worker in a row that advanced, before something must be wrong. */
const STEPS_MAX = 3_000
/** A file system in memory, where there is one: the store syncs with every commit. */
const ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** All that outlives our process: the time, the proxies and the store's file. */
export class World {
  readonly path: string
  readonly proxies: readonly ProxyWorld[]
  /** Rows as they were before somebody changed them, by proxy and id. */
  readonly changed = new Map<string, { proxy: ProxyWorld; before: StoredCall }>()
  readonly vanished = new Map<string, { proxy: ProxyWorld; requestId: string }>()
  readonly trace: Trace
  trueMs = START_MS
  ourSkewMs = 0
  readonly #folder: string
  readonly #schedule: Schedule

  constructor(schedule: Schedule, template: string, trace: Trace) {
    this.#schedule = schedule
    this.trace = trace
    this.#folder = mkdtempSync(join(ROOT, 'flowmeter-sim-'))
    this.path = join(this.#folder, 'store.sqlite')
    copyFileSync(template, this.path)
    this.proxies = schedule.instances.map((instance) => {
      const litellm = directLitellm({
        version: instance.version,
        nowMs: () => this.trueMs,
        clockSkewMs: () => this.skewOf(instance),
        metadata: 'thin',
        isJsonText: instance.isJsonText,
        isTieOrderShifting: true,
      })
      litellm.insertRows(instance.calls)
      const sources = [instance.name, ...(instance.hasTwin ? [`${instance.name}-again`] : [])]
      return { instance, litellm, sources }
    })
  }

  skewOf({ skews }: Instance): number {
    return skews.findLast(({ fromMs }) => fromMs <= this.trueMs)?.ms ?? 0
  }

  /** Starts our process, which ends after so many points. */
  async boot(crashAfter = Number.POSITIVE_INFINITY): Promise<Daemon> {
    const point = new CrashPoint(crashAfter)
    const clock = { now: () => this.trueMs + this.ourSkewMs }
    const store = sqlStore(openSqlite(this.path).withPlugin(point), clock)
    return new Daemon(this, store, point, this.#schedule, clock)
  }

  /** What our store holds, looked at from outside of our code. */
  query(sql: string, ...values: readonly string[]): unknown[] {
    const db = new Database(this.path, { readonly: true })
    db.defaultSafeIntegers(true)
    try {
      return db.prepare(sql).all(...values)
    } finally {
      db.close()
    }
  }

  remove(): void {
    for (const { litellm } of this.proxies) litellm.close()
    rmSync(this.#folder, { recursive: true })
  }
}

/** Our process, as far as it reads sources: the workers that collect, and those that scan again. */
export class Daemon {
  readonly #world: World
  readonly #store: Store
  readonly #point: CrashPoint
  readonly #steps: readonly { readonly name: string; readonly step: () => Promise<string> }[]
  readonly #names: readonly string[]

  constructor(
    world: World,
    store: Store,
    point: CrashPoint,
    { settings }: Schedule,
    clock: { now(): number },
  ) {
    this.#world = world
    this.#store = store
    this.#point = point
    const { signal } = new AbortController()
    const records = point.watch(store.records)
    const sources = world.proxies.flatMap((proxy) =>
      proxy.sources.map((name) => sourceOf(proxy, name)),
    )
    this.#names = sources.map(({ name }) => name)
    this.#steps = sources.flatMap((source) => {
      const parts = { records, source: point.watch(source), clock, settings }
      const [ahead, behind]: CollectPass[] = [{}, {}]
      return [
        { name: `collect/${source.name}`, step: () => collectNext(parts, ahead ?? {}, signal) },
        { name: `rescan/${source.name}`, step: () => rescanNext(parts, behind ?? {}, signal) },
      ]
    })
  }

  /** All workers at once, until each rests or fails. Returns whether the process is still there. */
  async run(): Promise<boolean> {
    const results = await Promise.allSettled([
      ...this.#names.map((name) => this.#store.records.addSource(name, START_MS)),
      ...this.#steps.map((worker) => this.#runWorker(worker)),
    ])
    for (const result of results) {
      if (result.status === 'rejected' && !(result.reason instanceof Crash)) throw result.reason
    }
    if (this.#point.isCrashed) this.#world.trace('  CRASH')
    return !this.#point.isCrashed
  }

  end(): Promise<void> {
    return this.#store.close()
  }

  async #runWorker({ name, step }: { name: string; step: () => Promise<string> }): Promise<void> {
    for (let steps = 0; steps < STEPS_MAX; steps += 1) {
      try {
        if ((await step()) === 'idle') return
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error
        this.#world.trace(`  ${name}: ${error.code}: ${error.message}`)
        return // As a worker that backs off: it is called again after a while.
      }
    }
    throw new Error(`${name} never comes to rest`)
  }
}

/** The real adapter, over a way to the proxy that is a call in place of a connection. */
function sourceOf({ instance, litellm }: ProxyWorld, name: string): UsageSource {
  const config = litellmConfig.parse({
    kind: 'litellm',
    name,
    apiUrl: 'http://litellm.invalid',
    pageSize: instance.pageSize,
    cacheHits: instance.cacheHits,
    clientDisconnects: instance.clientDisconnects,
  })
  const authorization = `Bearer ${litellm.masterKey}`
  return litellmSource(config, '', {
    async request({ path, query }) {
      const url = new URL(`${path}?${new URLSearchParams(query)}`, 'http://litellm.invalid')
      const answer = litellm.ask(url, authorization)
      if (answer === undefined) throw new RetryableError('source_unreachable', 'no answer')
      return { ...answer, json: () => jsonOf(answer.text) }
    },
  })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new RetryableError('source_nonsense', 'not JSON')
  }
}

/** An empty store of the newest schema, to be copied: migrations take longer than a schedule. */
export async function makeTemplate(folder: string): Promise<string> {
  const path = join(folder, 'template.sqlite')
  const store = openStore(path, { now: () => START_MS })
  await store.migrate()
  await store.close()
  const db = new Database(path)
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  return path
}

export function makeFolder(): string {
  return mkdtempSync(join(ROOT, 'flowmeter-sim-'))
}
