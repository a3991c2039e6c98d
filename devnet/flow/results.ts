import { decode, type Plain } from './cadence-json.js'

export interface FlowEvent {
  /** "A.0ae53cb6e3f42a79.FlowToken.TokensDeposited" */
  readonly type: string
  /** "FlowToken.TokensDeposited" */
  readonly name: string
  readonly fields: { readonly [field: string]: Plain }
}

export interface TransactionResult {
  readonly id: string
  readonly blockHeight: bigint
  readonly events: readonly FlowEvent[]
  /** In computation units, as the fee says it; 0 if no fee was charged. */
  readonly computation: bigint
  /** In 1e-8 FLOW. */
  readonly fee: bigint
  /** Why the body failed and was undone; null when it did its work. */
  readonly error: string | null
}

/** As `/v1/events` and `/v1/transaction_results` give it. */
export interface RawEvent {
  readonly type: string
  readonly payload: string
}

export interface RawResult {
  readonly block_id: string
  readonly status: string
  readonly error_message: string
  readonly events: readonly RawEvent[] | null
}

export function resultOf(id: string, blockHeight: bigint, raw: RawResult): TransactionResult {
  const events = (raw.events ?? []).map(decodeEvent)
  const fees = events.find(({ name }) => name === 'FlowFees.FeesDeducted')?.fields
  return {
    id,
    blockHeight,
    events,
    // An effort of 1e-8 is one unit, and fixed-point numbers are decoded to counts of 1e-8.
    computation: bigintOr0(fees?.executionEffort),
    fee: bigintOr0(fees?.amount),
    error: raw.error_message === '' ? null : raw.error_message,
  }
}

/** Fields of the events of one name ("FlowToken.TokensDeposited"), in order. */
export function eventsNamed(result: TransactionResult, name: string): FlowEvent['fields'][] {
  return result.events.filter((event) => event.name === name).map(({ fields }) => fields)
}

export function decodeEvent({ type, payload }: RawEvent): FlowEvent {
  const fields = decodePayload(payload) as FlowEvent['fields']
  return { type, name: type.replace(/^A\.[0-9a-f]{16}\./, ''), fields }
}

/** The base64 of JSON-Cadence. */
export function decodePayload(payload: unknown): Plain {
  return decode(JSON.parse(Buffer.from(String(payload), 'base64').toString()))
}

function bigintOr0(value: Plain | undefined): bigint {
  return typeof value === 'bigint' ? value : 0n
}
