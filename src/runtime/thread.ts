import { Worker } from 'node:worker_threads'
import { RetryableError } from '../domain/errors.js'

export interface ThreadParts {
  /**
   * CommonJS text that sets `answer`, an async function of one argument. `data` is in its scope.
   * Text and no file, since where the file is depends on how this one was built.
   */
  readonly code: string
  readonly data: unknown
}

/** It did not answer in time, threw, or answered with what cannot be sent. */
export class ThreadError extends Error {
  override readonly name = 'ThreadError'
}

const MEMORY_MB_MAX = 256
const MESSAGE_CHARS_MAX = 200

const frame = (code: string): string => `
const { parentPort, workerData: data } = require('node:worker_threads')
let answer
${code}
parentPort.on('message', async (argument) => {
  try {
    parentPort.postMessage({ value: await answer(argument) })
  } catch (error) {
    const name = error instanceof Error ? error.name : 'Error'
    const message = String(error instanceof Error ? error.message : error)
    parentPort.postMessage({ error: (name + ': ' + message).slice(0, ${MESSAGE_CHARS_MAX}) })
  }
})`

type Message = { readonly value: unknown } | { readonly error: string }

/**
 * Code of somebody else, or a driver that blocks, beside the daemon's own loop: a question that
 * takes too long ends the thread, and the next question begins another one. It is a fence against
 * accidents, not against malice: the code may do what this process may. It sees no environment.
 */
export class Thread {
  readonly #parts: ThreadParts
  #worker: Worker | undefined
  /** One question at a time. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: ThreadParts) {
    this.#parts = parts
  }

  /** @throws ThreadError; its message is of the code that was asked, cut to 200 characters */
  ask(argument: unknown, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const asked = this.#last.then(() => this.#ask(argument, timeoutMs, signal))
    this.#last = asked.catch(() => {})
    return asked
  }

  async close(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  async #ask(argument: unknown, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted()
    const worker = this.#worker ?? start(this.#parts)
    this.#worker = worker
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    const done = new AbortController()
    try {
      return await new Promise((resolve, reject) => {
        const fail = (why: string) => reject(new ThreadError(why))
        const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
        const onMessage = (message: Message) =>
          'error' in message ? fail(message.error) : resolve(message.value)
        const onError = (error: Error) => fail(error.message.slice(0, MESSAGE_CHARS_MAX))
        const onExit = () => fail('it ended its thread')
        const onAbort = () => reject(new RetryableError('stopped', 'the daemon is stopping'))
        worker.once('message', onMessage).once('error', onError).once('exit', onExit)
        signal.addEventListener('abort', onAbort, { signal: done.signal })
        done.signal.addEventListener('abort', () => {
          clearTimeout(timer)
          worker.off('message', onMessage).off('error', onError).off('exit', onExit)
        })
        worker.postMessage(argument)
      })
    } catch (error) {
      // What may still be running, or is broken, must not answer the next question.
      done.abort()
      await this.close()
      throw error
    } finally {
      done.abort()
    }
  }
}

function start({ code, data }: ThreadParts): Worker {
  const worker = new Worker(frame(code), {
    eval: true,
    workerData: data,
    env: {},
    execArgv: [],
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB_MAX },
  })
  // What it prints is dropped: it could be anything, and nobody reads it.
  worker.stdout.resume()
  worker.stderr.resume()
  // An idle thread must not keep a command from ending; while one is asked, its timer does.
  worker.unref()
  // An error that comes while nobody asks ends the thread; the next question finds out.
  worker.on('error', () => {})
  return worker
}
