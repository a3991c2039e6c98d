import { createHash, randomBytes } from 'node:crypto'
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { IdGenerator } from '@opentelemetry/sdk-trace'
import { IN_FLIGHT_STATES } from '../domain/batch.js'
import type { BatchRef, DoneWork, Stage, Subject } from '../runtime/measures.js'
import { redact } from '../runtime/redaction.js'

const TRACE_ID_CHARS = 32
const SPAN_ID_CHARS = 16
const MS = 1_000
const NS_OF_MS = 1_000_000

interface SpanParts {
  readonly name: string
  readonly untilMs: number
  readonly ms: number
  readonly under: Context
  readonly ids?: Partial<Ids>
  readonly kind?: SpanKind
  readonly attributes: Attributes
  readonly isFailed?: boolean
}

/**
 * Writes what was measured down as spans, all of them after the fact: nothing is open in between, so
 * that the trace of a batch goes on after a restart.
 *
 * - A batch is a trace with a span for each state that it has left. Their ids are derived from the
 *   batch, so that everybody who meets it names the same ones. The root comes with its end.
 * - A step belongs to the batch that it is about, below the state in which it met it; any other
 *   step, and a request that was answered here, is a trace of its own.
 * - What a step or a request asked others is below it; transactions are its events.
 * - A step that is about nothing, found nothing to do and did not fail leaves none.
 */
export class Spans {
  readonly #tracer: Tracer
  readonly #ids: GivenIds

  constructor(tracer: Tracer, ids: GivenIds) {
    this.#tracer = tracer
    this.#ids = ids
  }

  addStage({ batch, state, sinceMs, untilMs, next, isLast, txId, round }: Stage): void {
    const ids = idsOf(batch)
    this.#add({
      name: state,
      ...{ untilMs, ms: untilMs - sinceMs },
      under: contextOf(ids),
      ids: { spanId: stageId(batch, state, sinceMs) },
      attributes: {
        ...attributesOf({ batch }),
        'flowmeter.batch.next_state': next,
        ...(txId === undefined ? {} : { 'flowmeter.anchor.tx_id': txId }),
        ...(round === undefined ? {} : { 'flowmeter.round': round }),
      },
      isFailed: next === 'parked' || rankOf(next) < rankOf(state),
    })
    if (!isLast) return
    this.#add({
      name: 'batch',
      ...{ untilMs, ms: untilMs - batch.sealedAtMs },
      ...{ under: ROOT_CONTEXT, ids },
      attributes: { ...attributesOf({ batch }), 'flowmeter.batch.state': next },
    })
  }

  addWork(work: DoneWork): void {
    const { kind, name, subject, outcome, isFailed, atMs, ms, exchanges, submissions } = work
    if (kind === 'step' && subject === undefined && outcome === 'idle') return
    const own = kind === 'step' ? stepAttributes(work) : requestAttributes(work)
    const events = submissions.map(({ purpose, lane, txId, fate, atMs: toldAtMs }) => ({
      name: `transaction ${fate}`,
      attributes: { 'flowmeter.purpose': purpose, 'flowmeter.lane': lane, 'flowmeter.tx_id': txId },
      atMs: toldAtMs,
    }))
    const span = this.#add(
      {
        ...{ name, untilMs: atMs, ms, isFailed },
        under: parentOf(subject),
        kind: kind === 'step' ? SpanKind.INTERNAL : SpanKind.SERVER,
        attributes: {
          ...own,
          ...attributesOf(subject),
          ...(isFailed ? { 'error.type': String(outcome) } : {}),
        },
      },
      events,
    )
    for (const exchange of exchanges) {
      const { dependency, host, outcome: answer } = exchange
      this.#add({
        name: dependency,
        ...{ untilMs: exchange.atMs, ms: exchange.ms },
        under: trace.setSpan(ROOT_CONTEXT, span),
        kind: SpanKind.CLIENT,
        attributes: {
          ...{ 'flowmeter.dependency': dependency, 'server.address': host },
          'flowmeter.outcome': answer,
        },
        isFailed: answer !== 'answered',
      })
    }
  }

  #add(
    { name, untilMs, ms, under, ids, kind = SpanKind.INTERNAL, attributes, isFailed }: SpanParts,
    events: readonly { name: string; attributes: Attributes; atMs: number }[] = [],
  ): Span {
    this.#ids.next = ids
    const startTime = timeOf(untilMs - Math.max(0, ms))
    const span = this.#tracer.startSpan(name, { startTime, kind }, under)
    this.#ids.next = undefined
    span.setAttributes(clean(attributes))
    for (const event of events)
      span.addEvent(event.name, clean(event.attributes), timeOf(event.atMs))
    if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end(timeOf(untilMs))
    return span
  }
}

interface Ids {
  readonly traceId: string
  readonly spanId: string
}

/** Random ids, but for the span that is said to have others. */
export class GivenIds implements IdGenerator {
  next: Partial<Ids> | undefined

  generateTraceId = (): string => this.next?.traceId ?? randomId(TRACE_ID_CHARS)
  generateSpanId = (): string => this.next?.spanId ?? randomId(SPAN_ID_CHARS)
}

function idsOf({ name, root }: BatchRef): Ids {
  return {
    traceId: digest(`${root}/${name}`).slice(0, TRACE_ID_CHARS),
    spanId: digest(`${root}/${name}/batch`).slice(0, SPAN_ID_CHARS),
  }
}

function stageId({ name, root }: BatchRef, state: string, sinceMs: number): string {
  return digest(`${root}/${name}/${state}/${sinceMs}`).slice(0, SPAN_ID_CHARS)
}

function parentOf(subject: Subject | undefined): Context {
  if (subject === undefined || 'source' in subject) return ROOT_CONTEXT
  const { batch, state, sinceMs } = subject
  const ids = idsOf(batch)
  if (state === undefined || sinceMs === undefined) return contextOf(ids)
  return contextOf({ ...ids, spanId: stageId(batch, state, sinceMs) })
}

function contextOf(ids: Ids): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { ...ids, traceFlags: TraceFlags.SAMPLED })
}

function attributesOf(subject: Subject | undefined): Attributes {
  if (subject === undefined) return {}
  if ('source' in subject) return { 'flowmeter.source': subject.source }
  const { name, root } = subject.batch
  return { 'flowmeter.batch': name, 'flowmeter.batch.root': root }
}

function stepAttributes({ name, outcome }: DoneWork): Attributes {
  return { 'flowmeter.worker': name, 'flowmeter.outcome': outcome }
}

function requestAttributes({ name, outcome }: DoneWork): Attributes {
  const [method = '', route = ''] = name.split(' ')
  return {
    'http.request.method': method,
    'http.route': route,
    'http.response.status_code': outcome,
  }
}

/** Nothing that was learnt as a secret leaves, whatever told it. */
function clean(attributes: Attributes): Attributes {
  const entries = Object.entries(attributes).map(([name, value]) => {
    return [name, typeof value === 'string' ? redact(value) : value] as const
  })
  return Object.fromEntries(entries)
}

/** On its way, from the first state on; what is none of these is not behind anything. */
function rankOf(state: string): number {
  const rank = (IN_FLIGHT_STATES as readonly string[]).indexOf(state)
  return rank === -1 ? Number.NaN : rank
}

/** As seconds and nanoseconds: a bare number may be taken for time since the process began. */
function timeOf(ms: number): [seconds: number, nanoseconds: number] {
  return [Math.floor(ms / MS), Math.floor((ms % MS) * NS_OF_MS)]
}

function randomId(chars: number): string {
  return randomBytes(chars / 2).toString('hex')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
