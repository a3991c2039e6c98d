import { assert, TerminalError } from '../domain/errors.js'
import { type AccountNumber, eraOf, seqOf } from '../domain/ids.js'
import type { RecordKey } from '../domain/usage-record.js'
import { addUsage, type EntryKey, NO_USAGE, type UsageTotal } from '../domain/usage-total.js'
import { payerFieldOf } from '../mapping/index.js'
import type { CorrectedRecord, Correction, CountedRecord } from '../ports/corrections.js'
import { nameOfRecord } from '../ports/payers.js'
import type { Store, Stores } from '../ports/stores.js'
import type { Plan } from '../pricing/plan.js'
import { billableOf } from '../pricing/price.js'
import { type AttributeSettings, attribute, mapPayers } from './attribute.js'
import { previewCorrection } from './correct.js'
import { planOf } from './plan-of.js'
import { keyOf, nameOf } from './restate.js'
import { takeFrom } from './totals.js'

/** Why, and by whom: both are written down for ever. */
export interface Ordered {
  readonly reason: string
  readonly by: string
}

/** What is recorded, with what the provider has to put on the chain. */
export interface RecordedCorrection {
  readonly correction: Correction
  /**
   * What the chain call must state, in 1e-4 tokens: what is left, or what Flow holds if that is less,
   * since a correction never raises. A later batch states the rest.
   */
  readonly callBillable: bigint
  /** The number that the call must state: 0 where the meter of then is revoked, and with it all its batches. */
  readonly callAfterSeq: bigint
}

/** One transaction's worth, and what a person can look over. */
const RECORDS_A_CORRECTION_MAX = 100_000
const REASON_MAX = 256

/**
 * Takes sealed usage out of the totals that today's mapping would not put it in, and lets it count
 * where it belongs once Flow has lowered them: never before, so that nothing is charged twice.
 *
 * @param only the account whose totals fall; all of them unless given
 * @throws TerminalError `nothing_to_correct`, `correction_pending`, `plan_unknown`
 */
export function recordRemapping(
  store: Store,
  settings: AttributeSettings,
  only: AccountNumber | undefined,
  ordered: Ordered,
): Promise<RecordedCorrection[]> {
  return store.transaction(async (stores) => {
    const { moves } = await previewCorrection(stores, settings)
    const chosen = moves.filter(
      ({ from, to }) => to !== undefined && (only === undefined || from.accountNumber === only),
    )
    const records: Corrected[] = []
    for (const { source, payer, from } of chosen) {
      const { payerField, sources = {} } = settings
      const field = payerFieldOf({ payerField, sources }, source)
      const counted = await stores.corrections.counted({ source, field, payer, from })
      records.push(...(await movedTo(counted, payer, stores, settings)))
    }
    return recordAll(distinct(records), 'correct', ordered, stores)
  })
}

/**
 * Lets sealed records count nowhere: calls that should never have been billed.
 *
 * @throws TerminalError as above, and `record_not_counted`
 */
export function recordWaiver(
  store: Store,
  keys: readonly RecordKey[],
  ordered: Ordered,
): Promise<RecordedCorrection[]> {
  return store.transaction(async (stores) => {
    const records = await stores.corrections.counted({ keys })
    const found = new Set(records.map(({ key }) => nameOfRecord(key)))
    const missing = keys.find((key) => !found.has(nameOfRecord(key)))
    if (missing !== undefined) {
      throw new TerminalError(
        'record_not_counted',
        `"${missing.requestId}" of source "${missing.source}" is counted by no batch: it was never ` +
          'sealed, or a correction has taken it out before.',
      )
    }
    const corrected = records.map((record) => ({ record }))
    return recordAll(corrected, 'correct waive', ordered, stores)
  })
}

interface Corrected {
  readonly record: CountedRecord
  readonly to?: NonNullable<CorrectedRecord['to']>
}

/** Where each belongs by the mapping of now; the others stay. */
async function movedTo(
  records: readonly CountedRecord[],
  payer: string,
  stores: Stores,
  settings: AttributeSettings,
): Promise<Corrected[]> {
  const mapped = (await mapPayers([payer], { ...stores, settings }))(payer)
  const { account } = mapped
  const [vault] = account === undefined ? [] : await stores.books.vaults([account])
  const models = await stores.books.models()
  // What an operator let go to an account stays there, whatever the mapping says.
  const released = await stores.payers.released(records.map(({ key }) => key))
  return records.flatMap((record) => {
    if (released.has(nameOfRecord(record.key))) return []
    const found = attribute(record, mapped, vault, models, settings)
    if (found.account === undefined || found.account === record.account) return []
    const { account: accountNumber, periodStart, modelId } = found
    return [{ record, to: { accountNumber, periodStart, modelId } }]
  })
}

async function recordAll(
  corrected: readonly Corrected[],
  verb: string,
  ordered: Ordered,
  stores: Stores,
): Promise<RecordedCorrection[]> {
  if (corrected.length === 0) {
    throw new TerminalError('nothing_to_correct', 'all sealed usage is where it belongs')
  }
  if (ordered.reason.length > REASON_MAX) {
    const message = `the reason has ${ordered.reason.length} characters, and Flow takes ${REASON_MAX}`
    throw new TerminalError('reason_too_long', message)
  }
  if (corrected.length > RECORDS_A_CORRECTION_MAX) {
    const message = `${corrected.length} records are more than ${RECORDS_A_CORRECTION_MAX} at once`
    throw new TerminalError('too_many_records', `${message}: name one account with --account`)
  }
  const groups = new Map<string, Corrected[]>()
  for (const one of corrected) {
    const name = nameOf(keyOf(one.record))
    groups.set(name, [...(groups.get(name) ?? []), one])
  }
  const recorded: RecordedCorrection[] = []
  for (const group of groups.values()) recorded.push(await recordOne(group, ordered, stores))
  await stores.operatorLog.append({
    who: ordered.by,
    verb,
    arguments: {
      corrections: recorded.map(({ correction }) => correction.id).join(','),
      records: corrected.length.toString(),
    },
    reason: ordered.reason,
  })
  return recorded
}

async function recordOne(
  group: readonly Corrected[],
  { reason, by }: Ordered,
  stores: Stores,
): Promise<RecordedCorrection> {
  const [first] = group
  assert(first !== undefined)
  const key = keyOf(first.record)
  const where = `account ${key.accountNumber}, period ${key.periodStart}`
  if ((await stores.corrections.pending()).some((one) => nameOf(one) === nameOf(key))) {
    const message = `a correction of ${where} is recorded and not on Flow yet: put that one there first`
    throw new TerminalError('correction_pending', message)
  }
  const plan = await planFor(key, stores)
  if (plan === undefined) {
    const message = `the plan of ${where} is not known: run the daemon until it has read Flow`
    throw new TerminalError('plan_unknown', message)
  }
  const last = await stores.batches.last()
  assert(last !== undefined, 'what is counted is in a batch')
  const left = takeFrom(await stores.totals.of(key), usageOf(group.map(({ record }) => record)))
  const billable = billableOf(plan, left)
  const correction = await stores.corrections.record({
    ...key,
    afterSeq: last.id,
    billable,
    reason,
    by,
    records: group.map(({ record, to }) => ({
      key: record.key,
      modelId: record.modelId,
      ...(to === undefined ? {} : { to }),
    })),
  })
  return callOf(correction, stores)
}

/** See RecordedCorrection. By what Flow was last seen to hold. */
export async function callOf(
  correction: Correction,
  { books, meters }: Pick<Stores, 'books' | 'meters'>,
): Promise<RecordedCorrection> {
  const [applied] = await books.appliedOf([correction])
  const held = applied?.billable ?? 0n
  const { era } = await meters.current()
  const isOfOldMeter = eraOf(correction.afterSeq) < era
  return {
    correction,
    callBillable: held < correction.billable ? held : correction.billable,
    callAfterSeq: isOfOldMeter ? 0n : seqOf(correction.afterSeq),
  }
}

async function planFor(key: EntryKey, { books }: Stores): Promise<Plan | undefined> {
  const [vault] = await books.vaults([key.accountNumber])
  return planOf(vault, key.periodStart, await books.plans())
}

function usageOf(records: readonly CountedRecord[]): UsageTotal[] {
  const byModel = new Map<number, UsageTotal>()
  for (const { modelId, promptTokens, cachedPromptTokens, completionTokens } of records) {
    const used = { promptTokens, cachedPromptTokens, completionTokens, requests: 1n }
    byModel.set(modelId, { modelId, ...addUsage(byModel.get(modelId) ?? NO_USAGE, used) })
  }
  return [...byModel.values()]
}

/** A payer can have several moves out of one total, by the periods that they go to. */
function distinct(records: readonly Corrected[]): Corrected[] {
  return [...new Map(records.map((one) => [nameOfRecord(one.record.key), one])).values()]
}
