import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { ConfigError, RetryableError } from '../domain/errors.js'
import { Thread } from './thread.js'

export interface OperatorFunctionParts {
  /** Absolute. */
  readonly file: string
  /** What the module exports. */
  readonly exportName: string
  /** For one call. */
  readonly timeoutMs: number
}

/** For the module and all that it imports. */
const LOADING_MS_MAX = 10_000

const CODE = `
let loading
answer = async (question) => {
  loading ??= import(data.url).then((module) => {
    const found = module[data.exportName] ?? module.default?.[data.exportName]
    if (typeof found !== 'function') throw new TypeError('exports no function ' + data.exportName)
    return found
  })
  const call = await loading
  return question.isLoading ? undefined : call(question.argument)
}`

/** A function of the operator's own JavaScript, in a thread, with a time limit. */
export class OperatorFunction {
  /** What the file says. Another content is another rule. */
  readonly source: string
  readonly #parts: OperatorFunctionParts
  readonly #thread: Thread
  #isLoaded = false

  /** @throws ConfigError `no_module` when the file cannot be read */
  constructor(parts: OperatorFunctionParts) {
    this.#parts = parts
    this.source = readModule(parts.file)
    const data = { url: pathToFileURL(parts.file).href, exportName: parts.exportName }
    this.#thread = new Thread({ code: CODE, data })
  }

  /** @throws ThreadError when the function threw or took too long; RetryableError `module_changed` */
  async call(argument: unknown, signal: AbortSignal): Promise<unknown> {
    if (!this.#isLoaded) {
      // A thread that begins anew would run what the file says now.
      if (readModule(this.#parts.file) !== this.source) {
        const what = `${this.#parts.file} was changed: restart the daemon to use it`
        throw new RetryableError('module_changed', what)
      }
      await this.#thread.ask({ isLoading: true }, LOADING_MS_MAX, signal)
      this.#isLoaded = true
    }
    try {
      return await this.#thread.ask({ argument }, this.#parts.timeoutMs, signal)
    } catch (error) {
      this.#isLoaded = false // Whatever failed, its thread has ended.
      throw error
    }
  }

  close(): Promise<void> {
    return this.#thread.close()
  }
}

function readModule(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new ConfigError('no_module', `The module ${file} cannot be read. Is its path right?`)
  }
}
