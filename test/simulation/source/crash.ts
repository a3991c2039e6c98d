import type {
  KyselyPlugin,
  PluginTransformQueryArgs,
  PluginTransformResultArgs,
  QueryResult,
  RootOperationNode,
  UnknownRow,
} from 'kysely'

/** The end of a process, at one point of it. */
export class Crash extends Error {
  override readonly name = 'Crash'
}

type Callable = (...args: unknown[]) => unknown

/**
 * Ends a process at its n-th point: before or after a call to the source or the store, or after a
 * statement of SQL, in the middle of a transaction. From then on every call fails, as nothing runs
 * in a process that is gone.
 */
export class CrashPoint implements KyselyPlugin {
  #left: number
  #isCrashed = false

  constructor(pointsLeft: number) {
    this.#left = pointsLeft
  }

  get isCrashed(): boolean {
    return this.#isCrashed
  }

  /** The object with a point before and after each of its calls. */
  watch<Watched extends object>(object: Watched): Watched {
    return new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]) => {
          this.#pass()
          const result = await Reflect.apply(value as Callable, target, args)
          this.#pass()
          return result
        }
      },
    })
  }

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    return node
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    this.#pass()
    return result
  }

  #pass(): void {
    if (this.#isCrashed) throw new Crash('called after the crash')
    this.#left -= 1
    if (this.#left >= 0) return
    this.#isCrashed = true
    throw new Crash('the process ends here')
  }
}
