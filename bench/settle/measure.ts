import { address, ufix64 } from '../../devnet/flow/cadence-json.js'
import { TRANSFER_FLOW } from '../../devnet/flow/system.js'
import type { Entry } from '../../src/domain/entry.js'
import { missingRecords, priceOfEntry, unbalanced } from './books.js'
import { accept, type Measured, settle } from './bring.js'
import type { Crowd } from './crowd.js'

/** `first`: nothing was charged for the period before, which costs more than a later total. */
export type Kind = 'first' | 'later'
export const KINDS: readonly Kind[] = ['first', 'later']

export interface RunOf extends Measured {
  readonly models: number
  readonly kind: Kind
}

/** The units that Flow lets one transaction use. */
export const UNITS_MAX = 9_999
/** The largest run is found to within so many entries. */
const STEP = 4
/** Steps outwards from a first guess, and halvings: each is a batch of its own. */
const PROBES_MAX = 24

/** Settles one run: all entries of a batch of its own. */
export async function measureRun(
  crowd: Crowd,
  { entries: count, models, kind }: { entries: number; models: number; kind: Kind },
): Promise<RunOf> {
  const accounts = kind === 'first' ? crowd.fresh(count) : crowd.known(count, models)
  const entries = crowd.entries(accounts, models)
  const { batch } = await accept(crowd, entries)
  const measured = await settle(crowd, batch, entries, { from: 0, until: count })
  return { ...measured, models, kind }
}

/** The longest run that one transaction settles, from a guess outwards and then by halving. */
export async function measureLargest(
  crowd: Crowd,
  guess: number,
  run: { models: number; kind: Kind },
): Promise<RunOf> {
  let best: RunOf | undefined
  let tooMany = Number.POSITIVE_INFINITY
  let next = guess
  for (let probe = 0; probe < PROBES_MAX; probe += 1) {
    const measured = await measureRun(crowd, { ...run, entries: next })
    if (measured.error === null) best = measured
    else if (isTooMuch(measured.error)) tooMany = next
    else throw new Error(`a run of ${next} entries failed: ${measured.error}`)
    const fits = best?.entries ?? 0
    if (tooMany - fits <= STEP && best !== undefined) return best
    next = nextGuess(fits, tooMany, next)
  }
  throw new Error(`the largest run of ${run.models} models was not found`)
}

/** Until both ends are known the step is a sixteenth; then it is half of what lies between. */
function nextGuess(fits: number, tooMany: number, last: number): number {
  const step = Math.max(STEP, last >> 4)
  if (tooMany === Number.POSITIVE_INFINITY) return fits + step
  if (fits === 0) return tooMany - step
  return (fits + tooMany) >> 1
}

/** Units, events or bytes: a shorter run fits. */
function isTooMuch(error: string): boolean {
  return /Error Code: 11(04|05|06|10)\b/.test(error)
}

/** What an ordinary payment costs: FLOW from one account to another. */
export async function measureTransfer(
  crowd: Crowd,
): Promise<Pick<Measured, 'computation' | 'bytes' | 'fee'>> {
  const { client } = crowd.settlement.world
  const other = await client.createAccount()
  const args = [address(other.address), ufix64('1.0')]
  const sent = await client.sendOrThrow({ cadence: TRANSFER_FLOW, args, signers: [crowd.relayer] })
  return { computation: sent.computation, bytes: sent.bytes, fee: sent.fee }
}

export interface BatchOf {
  readonly entries: number
  readonly transactions: readonly Measured[]
  readonly acceptFee: bigint
  /** Empty: every entry was applied once, and all money is where it has to be. */
  readonly lost: readonly string[]
}

/** Settles one large batch in transactions of so many entries, and looks whether anything is lost. */
export async function measureBatch(
  crowd: Crowd,
  { accounts, models, atOnce }: { accounts: readonly bigint[]; models: number; atOnce: number },
): Promise<BatchOf> {
  const entries = crowd.entries(accounts, models)
  const { batch, fee: acceptFee } = await accept(crowd, entries)
  const transactions: Measured[] = []
  for (let from = 0; from < entries.length; from += atOnce) {
    const until = Math.min(entries.length, from + atOnce)
    const measured = await settle(crowd, batch, entries, { from, until })
    if (measured.error !== null) throw new Error(`entries from ${from}: ${measured.error}`)
    transactions.push(measured)
  }
  const lost = transactions.flatMap((one) => one.lost)
  return {
    entries: entries.length,
    transactions,
    acceptFee,
    lost: [...lost, ...(await lostOfAll(crowd, entries))],
  }
}

/** Looks at all that Flow holds, not at events: the batch's records, and everybody's money. */
async function lostOfAll(crowd: Crowd, entries: readonly Entry[]): Promise<string[]> {
  const charged = crowd.held().reduce((sum, entry) => sum + priceOfEntry(entry), 0n)
  return [...(await missingRecords(crowd, entries)), ...(await unbalanced(crowd, charged))]
}
