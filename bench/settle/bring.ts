import type { TransactionResult } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import { CHUNK_MAX, type Entry } from '../../src/domain/entry.js'
import { type Batch, type Run, settleArgs } from '../../test/cadence/batches.js'
import { type Settled, settledOf } from '../../test/cadence/settlement.js'
import { priceOfEntry } from './books.js'
import type { Crowd } from './crowd.js'

/** One settlement of a run of entries, as Flow metered it. */
export interface Measured {
  readonly entries: number
  /** Units of computation; one transaction may use 9999. */
  readonly computation: bigint
  /** Of the whole transaction. */
  readonly bytes: number
  /** 1e-8 FLOW. */
  readonly fee: bigint
  /** Why Flow undid it; null: it is settled. */
  readonly error: string | null
  /** What is not as our own price function says. Empty: nothing was lost. */
  readonly lost: readonly string[]
}

export interface Accepted {
  readonly batch: Batch
  readonly fee: bigint
  readonly computation: bigint
}

/** Seals entries as the daemon does, and has Flow accept the batch. */
export async function accept(crowd: Crowd, entries: readonly Entry[]): Promise<Accepted> {
  const batch = crowd.settlement.seal(entries)
  const args = crowd.settlement.acceptArgs(batch, { signers: [0, 1, 2] })
  const { fee, computation } = await crowd.settlement.world.send(
    'anybody/accept_batch',
    args,
    crowd.relayer,
  )
  return { batch, fee, computation }
}

/** Settles the entries of a batch from one on and before another, in one transaction. */
export async function settle(
  crowd: Crowd,
  batch: Batch,
  entries: readonly Entry[],
  part: { readonly from: number; readonly until: number },
): Promise<Measured> {
  const { client } = crowd.settlement.world
  const { provider } = crowd.settlement
  const args = settleArgs(provider.id, runsOf(batch, part))
  const cadence = cadenceSource('transactions/anybody/settle_runs')
  const result = await client.send({ cadence, args, signers: [crowd.relayer] })
  const brought = entries.slice(part.from, part.until)
  const isSettled = result.error === null
  if (isSettled) crowd.applied(brought)
  return {
    entries: brought.length,
    ...{ computation: result.computation, fee: result.fee, bytes: result.bytes },
    error: result.error,
    lost: isSettled ? lostOf(brought, result) : [],
  }
}

/** Runs of chunks: as the daemon cuts them for a lane. */
function runsOf(batch: Batch, { from, until }: { from: number; until: number }): Run[] {
  const runs: Run[] = []
  for (let start = from; start < until; ) {
    const chunk = Math.floor(start / CHUNK_MAX)
    const end = Math.min(until, (chunk + 1) * CHUNK_MAX)
    const inChunk = { from: start - chunk * CHUNK_MAX, until: end - chunk * CHUNK_MAX }
    runs.push({ batch, chunk, ...inChunk })
    start = end
  }
  return runs
}

/** Entries that Flow did not apply once each, in order, at the price that we compute ourselves. */
function lostOf(entries: readonly Entry[], result: TransactionResult): string[] {
  const settled = settledOf(result)
  const lost = entries.flatMap((entry, i) => {
    const wrong = problemOf(entry, settled[i])
    return wrong === undefined ? [] : [`account ${entry.accountNumber}: ${wrong}`]
  })
  return settled.length === entries.length ? lost : [...lost, `${settled.length} events`]
}

function problemOf(entry: Entry, settled: Settled | undefined): string | undefined {
  if (settled === undefined || settled.account !== entry.accountNumber) return 'no event'
  if (settled.result !== 'applied') return settled.result
  const price = priceOfEntry(entry)
  return settled.charged === price ? undefined : `charged ${settled.charged}, not ${price}`
}
