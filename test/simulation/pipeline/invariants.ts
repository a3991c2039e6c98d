import { sql } from 'kysely'
import { batchId, batchName, eraOf, seqOf } from '../../../src/domain/ids.js'
import { coursesOf } from '../../../src/pipeline/audit.js'
import { runLap } from '../../../src/pipeline/laps.js'
import type { EntryResult } from '../../../src/ports/settler.js'
import { decodeEntry } from '../../support/test-flow.js'
import { RECEIPT_SECRET } from './daemon.js'
import type { FlowState } from './models/contracts.js'
import { digestOf } from './models/meter.js'
import type { VaultState } from './models/vault.js'
import { FIRST_EPOCH, type World } from './world.js'

export const INVARIANTS = [
  ...[
    'rows_recorded',
    'twins',
    'attribution',
    'applied_vs_rows',
    'records_vs_totals',
    'totals_fell',
  ],
  ...['batch_changed', 'seq_gaps', 'second_digest', 'charged_vs_price', 'charged_split', 'pool'],
  ...['overpaid', 'unproven', 'applied_twice', 'refused_entries', 'unsaved_sends', 'gone_landed'],
  ...[
    'above_bounds',
    'held_applied',
    'closed_paid',
    'own_checks',
    'parked_wrongly',
    'identity_stops',
    'bugs',
    'secrets',
  ],
] as const
export type Invariant = (typeof INVARIANTS)[number]

/** What may become of an entry when everybody does what they should. */
const ORDINARY: ReadonlySet<EntryResult> = new Set(['applied', 'stale', 'held', 'writtenOff'])

type Wrong = (name: Invariant, what: string) => void

/**
 * Watches every block of Flow: what a customer pays is within balance, cap and entitlement, nothing
 * after the vault was closed, and no charge passes that the provider has to approve.
 */
export function watchPayments(world: World, wrong: Wrong): void {
  const { flow } = world
  const run = flow.run
  flow.run = (state, body, now) => {
    const outcome = run(state, body, now)
    for (const [account, after] of outcome.state.vaults) {
      const before = state.vaults.get(account)
      if (before === undefined || before === after) continue
      const paid = after.paid - before.paid
      const isFree = before.isAutopayOn && !before.isPaused
      const isOver =
        paid > (before.balance * state.tokenPrice) / 100_000_000n ||
        (paid > 0n && !isFree) ||
        (before.entitled !== undefined && paid > before.entitled) ||
        (before.cap !== undefined && paid > 0n && after.spent > before.cap)
      if (isOver) wrong('overpaid', `account ${account} paid ${paid}`)
      const isMoved = before.owed !== after.owed || before.balance !== after.balance || paid !== 0n
      if (body.kind === 'settle' && before.status === 'closed' && isMoved) {
        wrong('closed_paid', `account ${account} paid ${paid}, and is closed`)
      }
      if (body.kind === 'settle' && isUnapproved(before, after, state.maxCharge)) {
        wrong('held_applied', `account ${account} was charged what the provider has not approved`)
      }
    }
    return outcome
  }
}

function isUnapproved(before: VaultState, after: VaultState, limit: bigint | undefined): boolean {
  if (limit === undefined) return false
  return [...after.records].some(([periodStart, { charged }]) => {
    const charge = charged - (before.records.get(periodStart)?.charged ?? 0n)
    return charge > limit && charged > (before.approved.get(periodStart) ?? 0n)
  })
}

/** What must hold at any time, whatever is under way. */
export async function checkChains(world: World, wrong: Wrong): Promise<void> {
  const { flow, evm, meterKey } = world
  checkMoney(flow.state(), wrong)
  const applied = flow.events.filter(({ result }) => result === 'applied')
  const names = applied.map(
    (one) => `${one.meterEpoch}/${one.seq}/${one.accountNumber}/${one.periodStart}`,
  )
  if (new Set(names).size !== names.length) wrong('applied_twice', 'an entry was applied twice')
  const stated = new Set(await statements(world))
  const strange = names.filter((name) => !stated.has(name) && !world.lost.has(name))
  if (strange.length > 0) wrong('unproven', `${strange.join()} applied, and never stated by us`)
  // Once the provider has set the next one, a thief may have the key.
  const isOurs = world.rotation.next === undefined
  const ours = evm.view().anchors.filter(({ meter }) => isOurs && meter === meterKey.address)
  for (const { header } of ours) {
    if (meterKey.signed.get(header.seq)?.has(digestOf(header))) continue
    wrong('second_digest', `batch ${header.seq} is anchored, and was never signed`)
  }
}

/** What our batches state, as Flow's events name it. */
export async function statements(world: World): Promise<string[]> {
  const eras = await world.store.meters.all()
  const epochs = eras.map(({ era, meterEpoch }) => (era === 0 ? FIRST_EPOCH : meterEpoch))
  return (await readBatches(world)).flatMap(({ id, entries }) => {
    const batch = `${epochs[eraOf(id)]}/${seqOf(id)}`
    return entries.map((entry) => `${batch}/${entry.accountNumber}/${entry.periodStart}`)
  })
}

function checkMoney({ vaults, pool, earnings }: FlowState, wrong: Wrong): void {
  let balances = 0n
  for (const [account, { charged, paid, owed, writtenOff, balance, records }] of vaults) {
    balances += balance
    const periods = [...records.values()].reduce((sum, record) => sum + record.charged, 0n)
    if (charged !== paid + owed + writtenOff || charged !== periods) {
      wrong('charged_split', `account ${account}`)
    }
    if (balance < 0n) wrong('pool', `account ${account} has ${balance}`)
  }
  if (pool !== balances + earnings) wrong('pool', `${pool} is not ${balances} + ${earnings}`)
}

/** Sealed batches never change: each is compared with how it was seen first. */
export class SealedOnce {
  readonly #seen = new Map<bigint, string>()
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** The store is another one, or its batches were taken over from the chain. */
  beginAnew(): void {
    this.#seen.clear()
  }

  async check(wrong: Wrong): Promise<void> {
    const batches = await readBatches(this.#world)
    let last = 0n
    for (const { id, text } of batches) {
      const next = eraOf(id) === eraOf(last) ? last + 1n : batchId(1n, eraOf(id))
      if (id !== next) wrong('seq_gaps', `batch ${batchName(next)} is not there`)
      last = id
      const before = this.#seen.get(id) ?? text
      this.#seen.set(id, before)
      if (before !== text) wrong('batch_changed', `batch ${batchName(id)}`)
    }
    if (this.#seen.size > batches.length) wrong('seq_gaps', 'a batch is gone')
  }
}

/** What must hold when all has come to rest. */
export async function checkStore(world: World, wrong: Wrong): Promise<void> {
  const { db, sent } = world
  await checkTotals(world, wrong)
  const saved = await sql<{ id: string }>`select tx_id as id from outbox
    union select tx_id as id from outbox_variants`.execute(db)
  const ids = new Set(saved.rows.map(({ id }) => id))
  for (const id of sent) if (!ids.has(id)) wrong('unsaved_sends', `${id} left and is not saved`)
  const gone = await sql<{ id: string }>`select tx_id as id from outbox
    where fate = 'gone'`.execute(db)
  for (const { id } of gone.rows) {
    const result = world.flow.results.get(id)
    const saidAt = world.saidGone.get(id)
    if (result === undefined || saidAt === undefined || result.error?.code === 1007) continue
    if (result.height > saidAt) wrong('gone_landed', `${id} landed after it was said to be gone`)
  }
  const refused = world.flow.events.filter(({ result }) => !ORDINARY.has(result))
  if (refused.length > 0) wrong('refused_entries', refused.map(({ result }) => result).join())
  await checkParked(world, wrong)
  await checkSecrets(world, wrong)
  const checks = await world.store.books.checks()
  for (const [name, difference] of Object.entries(checks?.checks ?? {})) {
    if (difference !== 0n) wrong('own_checks', `${name} is ${difference}`)
  }
  await checkLaps(world, wrong)
}

/** What the daemon goes over all the time, in one piece: its figures page somebody, so none is false. */
async function checkLaps(world: World, wrong: Wrong): Promise<void> {
  const { attestor: history, settler } = world.ports()
  const parts = { store: world.store, history, settler, receiptSecret: RECEIPT_SECRET }
  const { signal } = new AbortController()
  for (const course of coursesOf(parts)) {
    const { found } = await runLap(course, signal)
    for (const [name, difference] of Object.entries(found)) {
      if (difference !== 0n) wrong('own_checks', `${name} over all batches is ${difference}`)
    }
  }
}

/** What each batch states = what was claimed up to it, less what corrections took out of it. */
async function checkTotals(world: World, wrong: Wrong): Promise<void> {
  const counts = await readCounts(world)
  const last = new Map<string, bigint>()
  for (const { id, entries } of await readBatches(world)) {
    for (const { accountNumber, periodStart, rows } of entries) {
      const name = `${accountNumber}/${periodStart}`
      const requests = rows.reduce((sum, row) => sum + row.requests, 0n)
      const own = counts.filter((count) => count.name === name && count.seq <= id)
      const due = own.reduce((sum, { records }) => sum + records, 0n)
      if (requests !== due)
        wrong('records_vs_totals', `${name} in batch ${batchName(id)}: ${requests}, ${due}`)
      const isCorrected = own.some(({ records }) => records < 0n)
      if (requests < (last.get(name) ?? 0n) && !isCorrected)
        wrong('totals_fell', `${name} ${batchName(id)}`)
      last.set(name, requests)
    }
  }
  for (const name of new Set(counts.map((count) => count.name))) {
    const own = counts.filter((count) => count.name === name)
    const due = own.reduce((sum, { records }) => sum + records, 0n)
    if ((last.get(name) ?? 0n) !== due) wrong('records_vs_totals', `${name} at the end: ${due}`)
  }
}

/** Records by entry and batch: claimed by it, counted by it after a correction, or taken out. */
async function readCounts({ db }: World) {
  const { rows } = await sql<{ account: string; start: bigint; seq: bigint; records: bigint }>`
    select account, period_start as start, batch_seq as seq, count(*) as records
      from usage_records where batch_seq is not null group by 1, 2, 3
    union all select to_account, to_period_start, counted_by, count(*)
      from record_moves where counted_by is not null group by 1, 2, 3
    union all select account, period_start, coalesce(listed_by, 4611686018427387904), -count(*)
      from corrections c join record_moves m on m.correction_id = c.correction_id
      where sealed_height is not null group by 1, 2, 3`.execute(db)
  return rows.map(({ account, start, seq, records }) => {
    return { name: `${BigInt(account)}/${start}`, seq, records }
  })
}

/** A batch is given up for what cannot heal alone. */
async function checkParked({ store, flow, rounds }: World, wrong: Wrong): Promise<void> {
  for (const { id, life } of await store.batches.parked(1n, 1_000)) {
    if (life.state !== 'parked') continue
    const { from, reason } = life
    const isRefusedAlone = from.state === 'accepted' && reason.includes('breaks it')
    const isMissed = 'missedRounds' in from && from.missedRounds.length >= 10
    const isPoisoned = 'round' in from && rounds.closed(from.round)?.otherRoot !== undefined
    const isPruned = 'round' in from && rounds.epochOf(from.round) < flow.state().client.firstEpoch
    if (isRefusedAlone || isMissed || isPoisoned || isPruned) continue
    wrong('parked_wrongly', `batch ${batchName(id)}: ${reason}`)
  }
}

export async function readBatches({ store }: World) {
  const batches = []
  for (const { id, header, manifestJson } of await store.batches.page(1n, 1_000)) {
    const bytes = (await store.batches.entries(id)).map((entry) => entry.bytes)
    const text = JSON.stringify([header, manifestJson, bytes], textOf)
    batches.push({ id, text, entries: bytes.map(decodeEntry) })
  }
  return batches
}

function textOf(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

/** Looks at every row of one schedule in ten: the key of the receipts stands nowhere. */
async function checkSecrets({ db, schedule }: World, wrong: Wrong): Promise<void> {
  if (schedule.seed % 10 !== 0) return
  for (const { name } of await db.introspection.getTables()) {
    const { rows } = await sql`select * from ${sql.table(name)}`.execute(db)
    if (JSON.stringify(rows, textOf).includes(RECEIPT_SECRET)) wrong('secrets', name)
  }
}
