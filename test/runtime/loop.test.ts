import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { RetryableError } from '../../src/domain/errors.js'
import { Bell } from '../../src/runtime/bell.js'
import { startCron } from '../../src/runtime/cron.js'
import { ReleaseStack } from '../../src/runtime/release-stack.js'
import { runWorker, runWorkers, type StepOutcome, type Worker } from '../../src/runtime/worker.js'
import { logOf } from '../support/log-lines.js'

/** Longer than any test: what ends such a wait is never the time. */
const FOREVER_MS = 2 ** 30
const quiet = logOf().log

function workerOf(step: Worker['step'], changes: Partial<Worker> = {}): Worker {
  return { name: 'test', step, idleMs: FOREVER_MS, bell: new Bell(), ...changes }
}

/** Gives these outcomes one after the other, then stops the worker. */
function scripted(stop: AbortController, ...outcomes: readonly (StepOutcome | Error)[]) {
  const left = [...outcomes]
  return async (): Promise<StepOutcome> => {
    const next = left.shift()
    if (left.length === 0) stop.abort()
    if (next instanceof Error) throw next
    return next ?? 'idle'
  }
}

describe('a bell', () => {
  const { signal } = new AbortController()

  test('ends the wait of whoever waits', async () => {
    const bell = new Bell()
    const waiting = bell.wait(FOREVER_MS, signal)
    bell.ring()
    await waiting
  })

  test('that rang while nobody waited ends the next wait, and only that', async () => {
    const bell = new Bell()
    bell.ring()
    bell.ring()
    await bell.wait(FOREVER_MS, signal)
    const second = bell.wait(FOREVER_MS, signal)
    expect(await Promise.race([second.then(() => 'ended'), settled('waits')])).toBe('waits')
    bell.ring()
    await second
  })

  test('waits no longer than it was told, and not at all once all is stopped', async () => {
    const stop = new AbortController()
    await new Bell().wait(1, stop.signal)
    const waiting = new Bell().wait(FOREVER_MS, stop.signal)
    stop.abort()
    await waiting
    await new Bell().wait(FOREVER_MS, stop.signal)
  })

  test('leaves no listener on the signal that outlives it', async () => {
    const stop = new AbortController()
    for (let waits = 0; waits < 50; waits += 1) await new Bell().wait(0, stop.signal)
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  })

  async function settled<Value>(value: Value): Promise<Value> {
    for (let turns = 0; turns < 5; turns += 1) await new Promise(setImmediate)
    return value
  }
})

describe('a worker', () => {
  test('that advanced goes on at once, and rings the next one each time', async () => {
    const stop = new AbortController()
    const results: unknown[] = []
    let rings = 0
    const next = new Bell()
    next.ring = () => {
      rings += 1
    }
    const step = scripted(stop, 'advanced', 'advanced', 'advanced', 'idle')
    await runWorker(workerOf(step, { next }), quiet, stop.signal, (_, result) =>
      results.push(result),
    )
    expect(results).toEqual(['advanced', 'advanced', 'advanced', 'idle'])
    expect(rings).toBe(3)
  })

  test('that is idle waits for its bell', async () => {
    const stop = new AbortController()
    const bell = new Bell()
    let steps = 0
    const step = async (): Promise<StepOutcome> => {
      steps += 1
      if (steps === 3) stop.abort()
      else setImmediate(() => bell.ring())
      return 'idle'
    }
    await runWorker(workerOf(step, { bell }), quiet, stop.signal, () => {})
    expect(steps).toBe(3)
  })

  // The shortest backoff there is, for real: no bell may shorten it.
  test('goes round again after what may pass, and tells the same failure once', async () => {
    const stop = new AbortController()
    const { log, lines } = logOf()
    const busy = new RetryableError('busy', 'come later')
    const results: unknown[] = []
    const bell = new Bell()
    bell.ring()
    const step = scripted(stop, busy, busy, 'advanced', 'idle')
    await runWorker(workerOf(step, { bell }), log, stop.signal, (_, result) => results.push(result))
    expect(results).toEqual([busy, busy, 'advanced', 'idle'])
    expect(lines().map(({ msg }) => msg)).toEqual([
      'step failed, will retry: come later',
      'step works again',
    ])
    expect(lines()[0]).toMatchObject({ worker: 'test', code: 'busy', delayMs: 1_000 })
  })

  test('ends at a bug, and all the others with it', async () => {
    const bug = new TypeError('x is undefined')
    const others = { stopped: false }
    const waiting = async (signal: AbortSignal): Promise<StepOutcome> => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      others.stopped = true
      return 'idle'
    }
    const broken = async (): Promise<StepOutcome> => {
      throw bug
    }
    const { signal } = new AbortController()
    const running = runWorkers([workerOf(waiting), workerOf(broken)], quiet, signal, () => {})
    await expect(running).rejects.toBe(bug)
    expect(others.stopped).toBe(true)
  })

  test('that fails because it is stopped ends in peace', async () => {
    const stop = new AbortController()
    const step = async (signal: AbortSignal): Promise<StepOutcome> => {
      stop.abort()
      signal.throwIfAborted()
      return 'idle'
    }
    await runWorkers([workerOf(step)], quiet, stop.signal, () => {})
  })

  test('lets others have their turn, even when it always advances', async () => {
    const stop = new AbortController()
    let turns = 0
    const other = setInterval(() => {
      turns += 1
      if (turns === 3) stop.abort()
    }, 1)
    await runWorker(
      workerOf(async () => 'advanced'),
      quiet,
      stop.signal,
      () => {},
    )
    clearInterval(other)
    expect(turns).toBeGreaterThanOrEqual(3)
  })
})

describe('the release stack', () => {
  test('closes the newest first, and each once', async () => {
    const closed: string[] = []
    const resources = new ReleaseStack()
    for (const name of ['store', 'server', 'cron']) resources.add(() => void closed.push(name))
    await resources.releaseAll()
    await resources.releaseAll()
    expect(closed).toEqual(['cron', 'server', 'store'])
  })

  test('closes all of them though some fail, and tells of every failure', async () => {
    const closed: string[] = []
    const resources = new ReleaseStack()
    resources.add(() => void closed.push('store'))
    resources.add(async () => {
      throw new Error('first')
    })
    resources.add(() => {
      throw new Error('second')
    })
    const failure = await resources.releaseAll().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(AggregateError)
    expect((failure as AggregateError).errors.map((one: Error) => one.message)).toEqual([
      'second',
      'first',
    ])
    expect(closed).toEqual(['store'])
  })
})

test('cron ticks at its times until it is ended', async () => {
  let end = (): void => {}
  await new Promise<void>((resolve) => {
    end = startCron('* * * * * *', resolve)
  })
  end()
})
