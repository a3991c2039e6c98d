import { AsyncLocalStorage } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { systemClock } from './clock.js'

/** One request to something outside, over. */
export interface Exchange {
  /** As in the codes of its errors: `source`, `attestor`, `settler`. */
  readonly dependency: string
  readonly host: string
  /** `failed` is silence, or an answer that could not be taken. */
  readonly outcome: 'answered' | 'refused' | 'failed'
  readonly ms: number
}

/** A batch as others know it, in whatever state. */
export interface BatchRef {
  /** `7`; of the third meter, `3.7`. */
  readonly name: string
  readonly root: string
  readonly sealedAtMs: number
}

/** A batch has left a state. */
export interface Stage {
  readonly batch: BatchRef
  readonly state: string
  readonly sinceMs: number
  readonly untilMs: number
  readonly next: string
  /** Nothing more will become of the batch. */
  readonly isLast: boolean
  /** Of the state that it came to: its anchor's transaction, and the voting round. */
  readonly txId?: string
  readonly round?: number
}

/** A transaction is on its way, or is known to have come to its end. */
export interface Submission {
  readonly purpose: string
  readonly lane: string
  readonly txId: string
  readonly fate: string
}

/** What a piece of work is about: a batch in a state, or a source. */
export type Subject =
  | { readonly batch: BatchRef; readonly state?: string; readonly sinceMs?: number }
  | { readonly source: string }

/** When it was over. */
interface At {
  readonly atMs: number
}

/** A worker's step or a request that is answered here, with what happened in it. */
export interface Work {
  readonly kind: 'step' | 'request'
  readonly name: string
  subject?: Subject
  readonly exchanges: (Exchange & At)[]
  readonly submissions: (Submission & At)[]
}

export interface DoneWork extends Work, At {
  readonly ms: number
  /** Of a step `advanced`, `idle` or the code of its error; of a request its status. */
  readonly outcome: string | number
  /** It went wrong. */
  readonly isFailed: boolean
}

/** Of each kind, in one piece of work: what comes after is counted in the metrics alone. */
const NOTES_MAX = 100

/*
 * What is measured where it happens and told to whoever counts, so that no adapter is handed a
 * counter. Where nobody listens it costs nothing.
 */
const exchanges = channel('flowmeter:exchange')
const stages = channel('flowmeter:stage')
const works = channel('flowmeter:work')
const current = new AsyncLocalStorage<Work>()

export function tellExchange(exchange: Exchange): void {
  note(current.getStore()?.exchanges, exchange)
  if (exchanges.hasSubscribers) exchanges.publish(exchange)
}

export function tellStage(stage: Stage): void {
  if (stages.hasSubscribers) stages.publish(stage)
}

export function tellSubmission(submission: Submission): void {
  note(current.getStore()?.submissions, submission)
}

/** Says what the work in hand is about. */
export function tellSubject(subject: Subject): void {
  const work = current.getStore()
  if (work !== undefined) work.subject = subject
}

/** Undefined where nobody wants to know. */
export function beginWork(kind: Work['kind'], name: string): Work | undefined {
  if (!works.hasSubscribers) return undefined
  return { kind, name, exchanges: [], submissions: [] }
}

/** What is told in there belongs to the work. */
export function within<T>(work: Work | undefined, run: () => T): T {
  return work === undefined ? run() : current.run(work, run)
}

export function endWork(
  work: Work | undefined,
  done: Pick<DoneWork, 'ms' | 'outcome' | 'isFailed'>,
): void {
  if (work === undefined) return
  works.publish({ ...work, ...done, atMs: systemClock.now() } satisfies DoneWork)
}

/** Returns what ends it. */
export function listenToMeasures(listener: {
  readonly onExchange?: (exchange: Exchange) => void
  readonly onStage?: (stage: Stage) => void
  readonly onWork?: (work: DoneWork) => void
}): () => void {
  const listeners = [
    [exchanges, listener.onExchange],
    [stages, listener.onStage],
    [works, listener.onWork],
  ] as const
  const ends = listeners.flatMap(([from, tell]) => {
    if (tell === undefined) return []
    const heard = (message: unknown) => (tell as (message: unknown) => void)(message)
    from.subscribe(heard)
    return [() => from.unsubscribe(heard)]
  })
  return () => {
    for (const end of ends) end()
  }
}

function note<T>(notes: (T & At)[] | undefined, one: T): void {
  if (notes !== undefined && notes.length < NOTES_MAX) {
    notes.push({ ...one, atMs: systemClock.now() })
  }
}
