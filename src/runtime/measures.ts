import { channel } from 'node:diagnostics_channel'

/** One request to something outside, over. */
export interface Exchange {
  /** As in the codes of its errors: `source`, `attestor`, `settler`. */
  readonly dependency: string
  readonly host: string
  /** `failed` is silence, or an answer that could not be taken. */
  readonly outcome: 'answered' | 'refused' | 'failed'
  readonly ms: number
}

/** A batch has left a state. */
export interface Stage {
  readonly state: string
  readonly ms: number
}

/*
 * What is measured where it happens and told to whoever counts, so that no adapter is handed a
 * counter. Where nobody listens it costs nothing.
 */
const exchanges = channel('flowmeter:exchange')
const stages = channel('flowmeter:stage')

export function tellExchange(exchange: Exchange): void {
  if (exchanges.hasSubscribers) exchanges.publish(exchange)
}

export function tellStage(stage: Stage): void {
  if (stages.hasSubscribers) stages.publish(stage)
}

/** Returns what ends it. */
export function listenToMeasures(listener: {
  readonly onExchange: (exchange: Exchange) => void
  readonly onStage: (stage: Stage) => void
}): () => void {
  const onExchange = (message: unknown) => listener.onExchange(message as Exchange)
  const onStage = (message: unknown) => listener.onStage(message as Stage)
  exchanges.subscribe(onExchange)
  stages.subscribe(onStage)
  return () => {
    exchanges.unsubscribe(onExchange)
    stages.unsubscribe(onStage)
  }
}
