import { parseArgs } from 'node:util'
import { Settlement } from '../../test/cadence/settlement.js'
import { Crowd, openingUnits } from './crowd.js'
import {
  type BatchOf,
  KINDS,
  type Kind,
  measureBatch,
  measureLargest,
  measureRun,
  measureTransfer,
  type RunOf,
  UNITS_MAX,
} from './measure.js'

// Goal: settling stays cheap: it is the product's running cost on Flow.
// Method: real transactions on an emulator with the fees of Flow's mainnet, over a crowd of vaults.
// Each run is a batch of its own, of accounts from all over the crowd; what Flow holds is compared
// with our own price function in the end.

const RUNS = [10, 50, 100]
/** What is promised: of entries with three models in one transaction. */
const ENTRIES_MIN = 300
/** What is promised: of the fee of an ordinary payment, for each vault of a run that long. */
const FEE_SHARE_MAX = 0.45
const OPENED_AT_ONCE = 500
const BATCH_AT_ONCE = 256
const UNITS_PER_FLOW = 100_000_000

export async function run(options: string[]): Promise<number> {
  const { values } = parseArgs({
    args: options,
    options: {
      vaults: { type: 'string', default: '20000' },
      batch: { type: 'string', default: '5000' },
      models: { type: 'string', default: '1,3,6' },
      json: { type: 'boolean', default: false },
    },
  })
  const parts = { transactionUnitsMax: openingUnits(OPENED_AT_ONCE) }
  const settlement = await Settlement.start(undefined, parts)
  try {
    const result = await measure(settlement, {
      vaults: Number(values.vaults),
      batchSize: Number(values.batch),
      modelCounts: values.models.split(',').map(Number),
    })
    console.log(values.json ? JSON.stringify(result) : textOf(result))
    for (const why of result.broken) tell(`a promise is not kept: ${why}`)
    return result.ok ? 0 : 1
  } finally {
    await settlement.stop()
  }
}

type Result = Awaited<ReturnType<typeof measure>>

interface Size {
  readonly vaults: number
  readonly batchSize: number
  readonly modelCounts: readonly number[]
}

async function measure(settlement: Settlement, { vaults, batchSize, modelCounts }: Size) {
  const startedMs = performance.now()
  const size = { count: vaults, atOnce: OPENED_AT_ONCE }
  const crowd = await Crowd.open(settlement, size, (opened) => {
    if (opened % 1_000 === 0) tell(`${opened} of ${vaults} vaults are open`)
  })
  const openingSeconds = Math.round((performance.now() - startedMs) / 1000)
  const transfer = await measureTransfer(crowd)
  const runs: RunOf[] = []
  const largest: RunOf[] = []
  for (const models of modelCounts) {
    tell(`runs of ${models} models`)
    for (const entries of RUNS) {
      for (const kind of KINDS) runs.push(await measureRun(crowd, { entries, models, kind }))
    }
    for (const kind of KINDS) {
      largest.push(await measureLargest(crowd, guessOf(runs, models, kind), { models, kind }))
    }
  }
  tell(`a batch of ${batchSize}`)
  const accounts = crowd.fresh(batchSize)
  const bytesBefore = await crowd.storageUsed()
  const batch = await measureBatch(crowd, { accounts, models: 3, atOnce: BATCH_AT_ONCE })
  const storage = Number((await crowd.storageUsed()) - bytesBefore) / batchSize

  const feeOf = (one: RunOf) => viewOf(one, Number(transfer.fee))
  const all = [...runs, ...largest]
  const lost = [...all.flatMap((one) => one.lost), ...batch.lost]
  const promised = largest.filter(({ models }) => models === 3).map(feeOf)
  const broken = [
    ...(lost.length === 0 ? [] : [`${lost.length} things were lost, such as: ${lost[0]}`]),
    ...all.flatMap(({ entries, models, error }) =>
      error === null ? [] : [`a run of ${entries} entries of ${models} models failed: ${error}`],
    ),
    ...promised.flatMap(brokenOf),
  ]
  return {
    bench: 'settle',
    ok: broken.length === 0,
    broken,
    promises: { unitsMax: UNITS_MAX, entriesMin: ENTRIES_MIN, feeOfTransferMax: FEE_SHARE_MAX },
    vaults,
    openingSeconds,
    transfer: {
      units: Number(transfer.computation),
      bytes: transfer.bytes,
      fee: flow(transfer.fee),
    },
    runs: runs.map(feeOf),
    largest: largest.map(feeOf),
    batch: { ...batchView(batch, Number(transfer.fee)), storageBytesPerVault: round(storage) },
    lost: lost.slice(0, 20),
    seconds: Math.round((performance.now() - startedMs) / 1000),
  }
}

/** What the longest run that fits one transaction has to keep, and does not. */
export function brokenOf(run: {
  readonly kind: Kind
  readonly entries: number
  readonly units: number
  readonly feeOfTransfer: number
}): string[] {
  const { kind, entries, units, feeOfTransfer } = run
  const what = `of ${kind} entries the longest run`
  const claims: [boolean, string][] = [
    [entries >= ENTRIES_MIN, `${what} has ${entries}, not ${ENTRIES_MIN}`],
    [units <= UNITS_MAX, `${what} takes ${units} units, and Flow lets it have ${UNITS_MAX}`],
    [
      feeOfTransfer <= FEE_SHARE_MAX,
      `${what} costs ${feeOfTransfer} of a transfer a vault, not ${FEE_SHARE_MAX}`,
    ],
  ]
  return claims.flatMap(([isKept, why]) => (isKept ? [] : [why]))
}

/** From what a hundred entries took, with what the transaction takes itself: a little too few. */
function guessOf(runs: readonly RunOf[], models: number, kind: Kind): number {
  const hundred = runs.find(
    (one) => one.models === models && one.kind === kind && one.entries === 100,
  )
  if (hundred === undefined) throw new Error('no run to guess from')
  return Math.floor((UNITS_MAX * hundred.entries) / Number(hundred.computation))
}

function viewOf(one: RunOf, transferFee: number) {
  const { models, kind, entries } = one
  return {
    ...{ models, kind, entries },
    units: Number(one.computation),
    bytes: one.bytes,
    fee: flow(one.fee),
    unitsPerVault: round(Number(one.computation) / entries),
    bytesPerVault: round(one.bytes / entries),
    feePerVault: flow(BigInt(Math.round(Number(one.fee) / entries))),
    feeOfTransfer: round(Number(one.fee) / entries / transferFee, 3),
  }
}

function batchView({ entries, transactions, acceptFee, lost }: BatchOf, transferFee: number) {
  const total = transactions.reduce((sum, { fee }) => sum + fee, acceptFee)
  const units = transactions.reduce((sum, { computation }) => sum + computation, 0n)
  return {
    entries,
    transactions: transactions.length,
    unitsPerVault: round(Number(units) / entries),
    feeWithAcceptance: flow(total),
    feeOfTransfer: round(Number(total) / entries / transferFee, 3),
    lost: lost.length,
  }
}

function textOf(result: Result): string {
  const { transfer, batch } = result
  const line = (one: Result['runs'][number]) =>
    `${one.models} models, ${one.kind}, ${one.entries} entries: ${one.units} units, ` +
    `${one.bytes} bytes, ${one.feePerVault} FLOW a vault, ${one.feeOfTransfer} of a transfer`
  return [
    `${result.vaults} vaults, opened in ${result.openingSeconds} s`,
    `a plain transfer: ${transfer.units} units, ${transfer.bytes} bytes, ${transfer.fee} FLOW`,
    ...result.runs.map(line),
    'the largest that fit one transaction:',
    ...result.largest.map(line),
    `one batch of ${batch.entries} in ${batch.transactions} transactions: ${batch.lost} lost, ` +
      `${batch.feeOfTransfer} of a transfer each with its acceptance, ` +
      `${batch.storageBytesPerVault} bytes of storage for a new period`,
    ...result.lost,
    ...result.broken.map((why) => `BROKEN: ${why}`),
    ...(result.ok ? ['All promises are kept.'] : []),
  ].join('\n')
}

/** For a person who waits: minutes, on two cores. */
function tell(line: string): void {
  console.error(line)
}

/** Of units of 1e-8. */
function flow(units: bigint): number {
  return Number(units) / UNITS_PER_FLOW
}

function round(value: number, places = 1): number {
  return Number(value.toFixed(places))
}
