import { setImmediate as drain } from 'node:timers/promises'
import type {
  KyselyPlugin,
  PluginTransformQueryArgs,
  PluginTransformResultArgs,
  QueryResult,
  RootOperationNode,
  UnknownRow,
} from 'kysely'
import type { Random } from '../../../devnet/litellm/random.js'

/** The end of a process, at one point of it. */
export class Crash extends Error {
  override readonly name = 'Crash'
}

type Callable = (...args: unknown[]) => unknown

/** A call that a worker has made and that has not been carried out yet. */
interface Waiting {
  readonly worker: string
  readonly what: string
  readonly isStore: boolean
  readonly go: () => void
  readonly die: (reason: Error) => void
}

/** Calls that only make a value: nothing outside the process happens in them. */
const PURE = new Set([
  ...['anchorCall', 'acceptCall', 'policyCall', 'settleCall', 'correctCall', 'now'],
  ...['isPurposeOf', 'then'],
])

/**
 * One process: every call that its workers make to a port or to the store waits until the scheduler
 * carries it out, one at a time, in any order. The process ends at its n-th point: before or after
 * such a call, or after a statement of SQL, in the middle of a transaction. From then on every call
 * fails, as nothing runs in a process that is gone.
 */
export class Process implements KyselyPlugin {
  #pointsLeft: number
  #points = 0
  /** The worker whose transaction is open: the store has one connection, so others wait for it. */
  #owner: string | undefined
  readonly #end = new AbortController()
  readonly #random: Random
  readonly #waiting: Waiting[] = []

  /** @param pointsLeft until it ends; infinity when it does not */
  constructor(random: Random, pointsLeft = Number.POSITIVE_INFINITY) {
    this.#random = random
    this.#pointsLeft = pointsLeft
  }

  /** Aborted by the crash, so that no step takes it for an error that it may handle. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  get isCrashed(): boolean {
    return this.#end.signal.aborted
  }

  get isInTransaction(): boolean {
    return this.#owner !== undefined
  }

  get points(): number {
    return this.#points
  }

  /** A port or the store as a worker has it. */
  watch<Watched extends object>(object: Watched, worker: string, isStore = false): Watched {
    const known = new Map<string | symbol, unknown>()
    return new Proxy(object, {
      get: (target, name) => {
        if (known.has(name)) return known.get(name)
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value === 'function') {
          const call = this.#watchCall(target, String(name), value as Callable, worker, isStore)
          known.set(name, call)
          return call
        }
        if (typeof value !== 'object' || value === null || !('constructor' in value)) return value
        const inner = Array.isArray(value)
          ? value.map((one: object) => this.watch(one, worker, isStore))
          : this.watch(value, worker, isStore)
        known.set(name, inner)
        return inner
      },
    })
  }

  /** Carries out one of the calls that wait. Returns its name; undefined when none can go on. */
  next(): string | undefined {
    const ready = this.#waiting.filter(
      ({ isStore, worker }) => !isStore || this.#owner === undefined || this.#owner === worker,
    )
    if (ready.length === 0) return undefined
    const one = this.#random.pick(ready)
    this.#waiting.splice(this.#waiting.indexOf(one), 1)
    one.go()
    return `${one.worker}: ${one.what}`
  }

  /** Lets all that was set going come to its next call. */
  settle(): Promise<void> {
    return drain()
  }

  /** Ends it here, and all that waits with it. */
  async kill(): Promise<void> {
    this.#end.abort(new Crash('the process was killed'))
    while (this.#waiting.length > 0) {
      for (const { die } of this.#waiting.splice(0)) die(new Crash('the process is gone'))
      await this.settle()
    }
    await this.settle()
  }

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    return node
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    this.#pass()
    return result
  }

  #watchCall(
    target: object,
    name: string,
    call: Callable,
    worker: string,
    isStore: boolean,
  ): Callable {
    if (PURE.has(name)) return (...args) => Reflect.apply(call, target, args)
    const isTransaction = isStore && name === 'transaction'
    return (...args) =>
      new Promise((resolve, reject) => {
        if (this.isCrashed) return reject(new Crash('called after the crash'))
        const run = async () => {
          this.#pass()
          if (!isTransaction) return await Reflect.apply(call, target, args)
          this.#owner = worker
          try {
            return await Reflect.apply(call, target, [this.#watchWork(args[0], worker)])
          } finally {
            this.#owner = undefined
          }
        }
        const go = () => {
          run()
            .then((result) => {
              this.#pass()
              resolve(result)
            })
            .catch(reject)
        }
        this.#waiting.push({ worker, what: name, isStore, go, die: reject })
      })
  }

  /** What a transaction is given are stores like those outside of it. */
  #watchWork(work: unknown, worker: string): Callable {
    return (stores) => (work as Callable)(this.watch(stores as object, worker, true))
  }

  #pass(): void {
    if (this.isCrashed) throw new Crash('called after the crash')
    this.#points += 1
    this.#pointsLeft -= 1
    if (this.#pointsLeft >= 0) return
    const crash = new Crash('the process ends here')
    this.#end.abort(crash)
    throw crash
  }
}
