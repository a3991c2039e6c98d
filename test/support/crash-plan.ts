/** The end of a process, at one point of it. */
export class Crash extends Error {
  override readonly name = 'Crash'
}

/** Calls that only make a value: nothing outside the process happens in them. */
const PURE_CALLS = ['anchorCall', 'acceptCall', 'policyCall', 'settleCall', 'now']

type Callable = (...args: unknown[]) => unknown

/**
 * Calls that leave something behind. To die between two of them is the same wherever it happens,
 * so a test of a long way may look at these alone.
 */
export const EFFECTS = /^(add|bind|claim|close|remove|save|send|set|sign|transaction)/
const ALL_CALLS = /./

/**
 * Ends a process at its n-th point: before or after any of its calls to a port or a store. From
 * then on every call fails, as nothing runs in a process that is gone.
 */
export class CrashPlan {
  readonly #at: number
  readonly #names: RegExp
  readonly #end = new AbortController()
  #passed = 0

  /**
   * @param at the point, from 0; none when it never comes
   * @param names of the calls that have points
   */
  constructor(at = Number.POSITIVE_INFINITY, names = ALL_CALLS) {
    this.#at = at
    this.#names = names
  }

  /** Aborted by the crash, so that nothing takes it for an error that it may handle. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  get isCrashed(): boolean {
    return this.#end.signal.aborted
  }

  /** How many points there were. */
  get passed(): number {
    return this.#passed
  }

  /** The object with a point before and after each of its calls. */
  watch<Watched extends object>(object: Watched): Watched {
    return new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (Array.isArray(value)) return value.map((part) => this.watch(part as object))
        if (isCallable(value)) return this.#watchCall(target, String(name), value)
        return typeof value === 'object' && value !== null && 'constructor' in value
          ? this.watch(value)
          : value
      },
    })
  }

  #watchCall(target: object, name: string, call: Callable): unknown {
    if (PURE_CALLS.includes(name)) return call.bind(target)
    return async (...args: unknown[]) => {
      this.#pass(name)
      const watched = name === 'transaction' ? args.map((work) => this.#watchWork(work)) : args
      const result = await Reflect.apply(call, target, watched)
      this.#pass(name)
      return result
    }
  }

  /** What a transaction is given are stores like those outside of it. */
  #watchWork(work: unknown): unknown {
    if (!isCallable(work)) return work
    return (stores: object) => Reflect.apply(work, undefined, [this.watch(stores)])
  }

  #pass(name: string): void {
    if (this.isCrashed) throw new Crash('called after the crash')
    if (!this.#names.test(name)) return
    if (this.#passed === this.#at) {
      this.#end.abort(new Crash(`at point ${this.#at}`))
      throw new Crash(`at point ${this.#at}`)
    }
    this.#passed += 1
  }
}

function isCallable(value: unknown): value is Callable {
  return typeof value === 'function'
}
