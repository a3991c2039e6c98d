import { keccak, utf8 } from '../domain/bytes.js'
import { chunkHash, type Entry, readEntry } from '../domain/entry.js'
import { rootFromPath } from '../domain/merkle.js'
import { recordLeaf, recordsRoot } from '../domain/receipt.js'
import type { BatchReceipt, Receipts, RecordReceipt } from '../domain/receipts.js'
import { addUsage, NO_USAGE, type Usage } from '../domain/usage-total.js'
import { correctionsOf } from './receipts.js'

export interface CheckedReceipts {
  /** What does not add up, in words; empty where everything does. */
  readonly problems: readonly string[]
  readonly calls: number
  /** As the newest entry states them, cumulative in the period; absent where nothing was stated. */
  readonly stated: Entry | undefined
}

type Counters = Map<number, Usage>

const FIELDS = ['promptTokens', 'cachedPromptTokens', 'completionTokens', 'requests'] as const

/**
 * Adds a period up again from its single calls. Needs no network, and trusts no sum in the file: the
 * roots that come out are what has to stand on the chains.
 */
export function checkReceipts(receipts: Receipts): CheckedReceipts {
  const problems: string[] = []
  const counted: Counters = new Map()
  const calls = new Calls()
  let stated: Entry | undefined
  let last: BatchReceipt | undefined
  const meters = new Set<string | undefined>()
  for (const batch of receipts.batches) {
    const { seq } = batch.header
    const tell = (what: string) => void problems.push(`batch ${seq}: ${what}`)
    const address = batch.meter?.address
    if (address === last?.meter?.address) {
      if (last !== undefined && seq <= last.header.seq) tell('comes after a later one')
    } else if (meters.has(address)) tell('is of a meter that another one has followed')
    meters.add(address)
    last = batch
    if (keccak(utf8(batch.manifestJson)) !== batch.header.manifest) {
      tell('its manifest is not the one that was signed')
    }
    takeCorrections(batch, receipts, { counted, calls }, tell)
    for (const record of batch.records) countRecord(record, receipts, { counted, calls }, tell)
    const entry = readOwnEntry(batch, receipts, tell)
    if (entry === undefined) continue
    checkPlace(batch, entry, tell)
    checkRows(entry, counted, tell)
    stated = entry
  }
  return { problems, calls: calls.size, stated }
}

type Tell = (what: string) => void

/**
 * Which calls stand in the receipts. Once each; again only where a correction took one of the same
 * model out before, since a call that went to another vault may come back.
 */
class Calls {
  readonly #seen = new Set<string>()
  readonly #takenOut = new Map<number, bigint>()

  get size(): number {
    return this.#seen.size
  }

  takeOut(model: number, requests: bigint): void {
    this.#takenOut.set(model, (this.#takenOut.get(model) ?? 0n) + requests)
  }

  /** False: it stands there already. */
  add(name: string, model: number): boolean {
    if (!this.#seen.has(name)) {
      this.#seen.add(name)
      return true
    }
    const left = this.#takenOut.get(model) ?? 0n
    this.#takenOut.set(model, left - 1n)
    return left > 0n
  }
}

interface Sums {
  readonly counted: Counters
  readonly calls: Calls
}

function readOwnEntry(
  { entry, records }: BatchReceipt,
  { accountNumber, periodStart }: Receipts,
  tell: Tell,
): Entry | undefined {
  if (entry === undefined) {
    if (records.length > 0) tell('it has calls, and no entry that states them')
    return undefined
  }
  let read: Entry
  try {
    read = readEntry(entry)
  } catch {
    tell('its entry cannot be read')
    return undefined
  }
  if (read.accountNumber === accountNumber && read.periodStart === periodStart) return read
  tell(`its entry is of account ${read.accountNumber} and the period from ${read.periodStart}`)
  return undefined
}

/** From the calls to the entry, and from the entry to the root. */
function checkPlace(
  { header, entry = '0x', leaves, path, records }: BatchReceipt,
  { recordsRoot: committed }: Entry,
  tell: Tell,
): void {
  const root = recordsRoot(records.map((record) => recordLeaf(record, record.modelId, record.salt)))
  if (root !== committed) tell('its calls are not those that the entry commits to')
  const isUnder =
    leaves.includes(keccak(entry)) && rootFromPath(chunkHash(leaves), path) === header.root
  if (!isUnder) tell('its entry is not under its root')
}

function checkRows({ rows }: Entry, counted: Counters, tell: Tell): void {
  for (const id of new Set([...rows.map(({ modelId }) => modelId as number), ...counted.keys()])) {
    const row = rows.find((one) => one.modelId === id) ?? NO_USAGE
    const sum = counted.get(id) ?? NO_USAGE
    for (const field of FIELDS) {
      if (row[field] === sum[field]) continue
      tell(`model ${id}: it states ${row[field]} ${field}, and the calls give ${sum[field]}`)
    }
  }
}

function countRecord(
  { key, modelId, startedAtMs, ...tokens }: RecordReceipt,
  { periodStart }: Receipts,
  { counted, calls }: Sums,
  tell: Tell,
): void {
  const name = `${key.source}/${key.requestId}`
  if (!calls.add(name, modelId)) tell(`the call ${name} is counted twice`)
  if (startedAtMs < periodStart * 1000) tell(`the call ${name} is older than the period`)
  const used = { ...tokens, requests: 1n }
  counted.set(modelId, addUsage(counted.get(modelId) ?? NO_USAGE, used))
}

/** What the provider took back, in public: the manifest is bound by the batch's signature. */
function takeCorrections(
  { manifestJson }: BatchReceipt,
  receipts: Receipts,
  { counted, calls }: Sums,
  tell: Tell,
): void {
  for (const { taken } of correctionsOf(manifestJson, receipts)) {
    for (const row of taken) {
      const id = Number(row.modelId)
      const before = counted.get(id) ?? NO_USAGE
      const left = Object.fromEntries(
        FIELDS.map((field) => [field, before[field] - BigInt(row[field])]),
      ) as unknown as Usage
      if (FIELDS.some((field) => left[field] < 0n))
        tell(`more of model ${id} is taken than counted`)
      counted.set(id, left)
      calls.takeOut(id, BigInt(row.requests))
    }
  }
}
