import type { BatchLife, BatchState } from '../domain/batch.js'
import { batchName } from '../domain/ids.js'
import { iso } from '../domain/instant.js'
import type { Clock } from '../ports/clock.js'
import type { Fate } from '../ports/lane.js'
import type { Compared } from '../ports/laps.js'
import type { StopCause } from '../ports/stops.js'
import type { MadeChecks, RecordCounts, StoredBatch, Stores } from '../ports/stores.js'
import { type Alarm, type AlarmLimits, alarmsOf, type StatusFacts } from './alarms.js'
import { type BudgetStatus, budgetStatus } from './budget-status.js'
import { type MeteringStatus, meteringStatus } from './metering-status.js'
import { type NoticeStatus, noticeStatus } from './notice-status.js'
import { type PolicyStatus, policyStatus } from './policy-status.js'
import type { PriceStatus } from './prices.js'
import { rowsAtRisk, type SetAsideCounts, sourceWarnings } from './source-health.js'
import { type WalletStatus, walletStatus } from './wallets.js'

/** How it stands, from the store alone: the same answer whether the daemon runs or not. */
export interface Status {
  readonly version: string
  /** ISO 8601, UTC, like every instant here. */
  readonly at: string
  readonly identity: Readonly<Record<string, string>>
  readonly sources: readonly SourceStatus[]
  readonly records: {
    readonly total: number
    readonly excluded: number
    readonly rejected: number
    readonly sealed: number
    /** When a row was last seen that could not be read. */
    readonly rejectedAt?: string
  }
  /**
   * What waits, in the order of a record's way, with how long its oldest has been in that state,
   * seconds. Records that wait for an operator or a correction are counted, and have no age.
   */
  readonly backlog: Readonly<
    Record<string, { readonly count: number; readonly oldestAgeS?: number }>
  >
  readonly unmapped: {
    readonly records: number
    /** When the oldest of them was read. */
    readonly since?: string
    readonly payers: readonly {
      readonly payer: string
      readonly reason: string
      readonly records: number
    }[]
  }
  readonly parked: readonly { readonly seq: string; readonly reason: string }[]
  /** The newest, newest first. */
  readonly batches: readonly BatchStatus[]
  /** The newest transactions of this daemon on both chains, newest first. */
  readonly transactions: readonly TransactionStatus[]
  /** Those of the last day by lane and fate. */
  readonly submissions?: readonly {
    readonly lane: string
    readonly fate: Fate
    readonly count: number
  }[]
  readonly lastBatch?: { readonly seq: string; readonly state: BatchState; readonly root: string }
  readonly lastSettled?: { readonly seq: string; readonly at: string }
  /** What pays on both chains, and how long it lasts. */
  readonly wallets: readonly WalletStatus[]
  /** What customers pay with, from a running daemon alone. */
  readonly prices?: readonly PriceStatus[]
  readonly policies?: PolicyStatus
  readonly metering?: MeteringStatus
  /** (Vault, period)s whose newest statement Flow refused to apply: see `flowmeter parked list`. */
  readonly refusedEntries: number
  /** (Vault, period)s of which nothing is sealed until an operator has released them. */
  readonly held: readonly HeldStatus[]
  /** Recorded and not on Flow yet: nothing is sealed for them until then. */
  readonly pendingCorrections: number
  /** Every difference must be 0 (design, section 8). */
  readonly conservation?: ConservationStatus
  /** Every worker's newest step, from a running daemon alone. */
  readonly workers?: readonly WorkerStatus[]
  readonly storage?: StorageStatus
  /** Keys and what pays for them, where they are managed. */
  readonly budgets?: BudgetStatus
  /** Money that came and bought no credits yet; absent where none waits. `count` is 100 at most. */
  readonly payments?: { readonly count: number; readonly since: string }
  /** What is told to webhooks and Slack. */
  readonly notices?: NoticeStatus
  /** What somebody has to look at, what is worst first: alarms.ts has all that there are. */
  readonly alarms: readonly Alarm[]
}

export interface ConservationStatus {
  /** When the books were compared with Flow. */
  readonly at: string
  readonly checks: Readonly<Record<string, string>>
  /** Of the checks that go over all batches bit by bit, and then again. */
  readonly compared?: Readonly<Record<string, ComparedStatus>>
}

export interface ComparedStatus {
  /** When the check had gone over everything last; absent before the first time. */
  readonly endedAt?: string
  /** When it began to do so again. */
  readonly startedAt: string
  /** Batches that could be compared with nothing: no node shows them. */
  readonly unknown: string
}

export interface WorkerStatus {
  readonly name: string
  /** `stuck`: its step has not ended for much longer than it should take. */
  readonly state: 'ok' | 'starting' | 'failing' | 'stuck'
  /** Since when it fails or is stuck. */
  readonly since?: string
  readonly why?: string
}

export interface StorageStatus {
  /** What this process may still write where the store is, bytes. */
  readonly freeBytes: number
  /** The store with its log, bytes. */
  readonly storeBytes: number
}

export interface SourceStatus {
  readonly name: string
  readonly readUntil: string
  readonly lagS: number
  readonly lastReadAt?: string
  readonly version?: string
  readonly warnings: readonly string[]
  readonly problem?: { readonly code: string; readonly message: string }
  /** By how much its clock is ahead of ours, seconds; rows are read by its clock. */
  readonly clockSkewS?: number
  readonly rescannedAt?: string
  /** Why rows may be deleted before they are read, or were. */
  readonly rowsAtRisk?: string
  /** Rows that changed after they were read: billed as they were first, until somebody decides. */
  readonly quarantined?: number
  /** Calls that another source showed before: not billed again, until somebody decides. */
  readonly twins?: number
  /** Rows that do not count until somebody decides, by reason. */
  readonly held?: Readonly<Record<string, number>>
}

export interface BatchStatus {
  /** Its number; after its meter was followed by another, with the meter's place before it: `2.7`. */
  readonly seq: string
  readonly state: BatchState
  readonly root: string
  readonly sealedAt: string
  readonly entries: number
  /** Flare's voting round whose root proved it; absent until it is attested. */
  readonly round?: number
  /** Rounds that did not prove it, since it was anchored; absent while none did not. */
  readonly missedRounds?: number
}

export interface HeldStatus {
  readonly account: string
  readonly periodStart: string
  readonly cause: StopCause
  readonly why: string
  readonly since: string
}

export interface TransactionStatus {
  /** What it was for, such as `anchor/7`. */
  readonly purpose: string
  readonly lane: string
  readonly id: string
  readonly fate: Fate
}

export interface StatusParts {
  readonly stores: Pick<
    Stores,
    | ('records' | 'batches' | 'books' | 'outbox' | 'watch' | 'views')
    | ('directories' | 'decisions' | 'controls' | 'setAsides' | 'stops' | 'corrections')
    | ('notices' | 'runways' | 'holds' | 'keys' | 'budgetTerms' | 'payments')
  >
  readonly clock: Clock
  readonly version: string
  readonly identity: Readonly<Record<string, string>>
  readonly limits?: AlarmLimits
  /** What a running daemon knows beside the store. */
  readonly running?: () => Promise<Pick<Status, 'prices' | 'workers' | 'storage'>>
}

const DAY_MS = 24 * 3_600_000
const HELD_SHOWN = 1_000
const PAYERS_SHOWN = 20
const BATCHES_LOOKED_AT = 100
const BATCHES_SHOWN = 20
const TRANSACTIONS_SHOWN = 40
const PAYMENTS_COUNTED = 100

/** Reads it. No chain is asked, so it answers when nothing else does. */
export async function readStatus(parts: StatusParts): Promise<Status> {
  const facts = { ...(await storedFacts(parts)), ...(await parts.running?.()) }
  return { ...facts, alarms: alarmsOf(facts, parts.limits) }
}

async function storedFacts(parts: StatusParts): Promise<StatusFacts> {
  const { stores, clock, version, identity } = parts
  const nowMs = clock.now()
  const records = await stores.records.counts()
  const [rejected] = records.rejects === 0 ? [] : await stores.records.rejects(1)
  const batches = await stores.batches.newest(BATCHES_LOOKED_AT)
  const [last] = batches
  const settled = batches.find(({ life }) => life.state === 'settled')
  const checks = await stores.books.checks()
  const policies = await policyStatus(stores.watch)
  const budgets = await budgetStatus(stores, clock)
  const payments = await stores.payments.setAside(PAYMENTS_COUNTED)
  const [payment] = payments
  return {
    version,
    at: iso(nowMs),
    identity,
    sources: await sourceStatus(stores, nowMs),
    records: {
      total: records.records,
      excluded: records.excluded,
      rejected: records.rejects,
      sealed: records.claimed,
      ...(rejected === undefined ? {} : { rejectedAt: iso(rejected.seenAtMs) }),
    },
    backlog: await backlog(stores, records, nowMs),
    unmapped: {
      records: records.unmapped,
      ...(records.waitingSinceMs.unmapped === undefined
        ? {}
        : { since: iso(records.waitingSinceMs.unmapped) }),
      payers: await stores.records.unmappedPayers(PAYERS_SHOWN),
    },
    parked: batches.flatMap(({ id, life }) =>
      life.state === 'parked' ? [{ seq: batchName(id), reason: life.reason }] : [],
    ),
    batches: await Promise.all(
      batches.slice(0, BATCHES_SHOWN).map((batch) => batchStatus(batch, stores)),
    ),
    transactions: (await stores.outbox.newest(TRANSACTIONS_SHOWN)).map(
      ({ purpose, lane, id, landedId, fate }) => ({ purpose, lane, id: landedId ?? id, fate }),
    ),
    ...(last === undefined
      ? {}
      : {
          lastBatch: {
            seq: batchName(last.id),
            state: last.life.state,
            root: last.header.root,
          },
        }),
    ...(settled === undefined
      ? {}
      : { lastSettled: { seq: batchName(settled.id), at: iso(settled.changedAtMs) } }),
    wallets: await walletStatus(stores, nowMs),
    submissions: await stores.views.fates(nowMs - DAY_MS),
    ...(policies === undefined ? {} : { policies }),
    metering: await meteringStatus(stores, nowMs),
    notices: await noticeStatus(stores.notices, nowMs),
    ...(budgets === undefined ? {} : { budgets }),
    ...(payment === undefined
      ? {}
      : { payments: { count: payments.length, since: iso(payment.seenAtMs) } }),
    refusedEntries: (await stores.batches.counts()).refusedEntries,
    held: (await stores.stops.open(HELD_SHOWN)).map((stop) => ({
      account: stop.accountNumber.toString(),
      periodStart: iso(stop.periodStart * 1000),
      cause: stop.cause,
      why: stop.why,
      since: iso(stop.stoppedAtMs),
    })),
    pendingCorrections: await stores.corrections.countPending(),
    ...(checks === undefined ? {} : { conservation: conservationStatus(checks) }),
  }
}

function conservationStatus({ atMs, checks, compared }: MadeChecks): ConservationStatus {
  const comparedStatus = ({ endedAtMs, startedAtMs, unknown }: Compared): ComparedStatus => ({
    ...(endedAtMs === undefined ? {} : { endedAt: iso(endedAtMs) }),
    startedAt: iso(startedAtMs),
    unknown: unknown.toString(),
  })
  return {
    at: iso(atMs),
    checks: Object.fromEntries(
      Object.entries(checks).map(([name, value]) => [name, value.toString()]),
    ),
    compared: Object.fromEntries(
      Object.entries(compared).map(([name, one]) => [name, comparedStatus(one)]),
    ),
  }
}

async function batchStatus(
  { id, header, life, proof }: StoredBatch,
  { batches }: Pick<Stores, 'batches'>,
): Promise<BatchStatus> {
  const missedRounds = missesOf(life)
  return {
    seq: batchName(id),
    state: life.state,
    root: header.root,
    sealedAt: iso(header.sealedAt * 1000),
    entries: (await batches.entries(id)).length,
    ...(proof === undefined ? {} : { round: proof.rootProof.round }),
    ...(missedRounds === 0 ? {} : { missedRounds }),
  }
}

/** Known until the batch is accepted: then nobody asks for it any more. */
function missesOf(life: BatchLife): number {
  if (life.state === 'parked') return missesOf(life.from)
  return 'missedRounds' in life ? life.missedRounds.length : 0
}

async function sourceStatus(
  { records, setAsides }: Pick<Stores, 'records' | 'setAsides'>,
  nowMs: number,
): Promise<SourceStatus[]> {
  const all = await setAsides.counts()
  const setAside = (name: string): SetAsideCounts =>
    Object.fromEntries(
      all.filter(({ source }) => source === name).map(({ reason, rows }) => [reason, rows]),
    )
  return (await records.sources()).map((source) => ({
    name: source.name,
    readUntil: iso(source.readUntilMs),
    lagS: seconds(nowMs - source.readUntilMs),
    ...(source.lastReadAtMs === undefined ? {} : { lastReadAt: iso(source.lastReadAtMs) }),
    ...(source.facts?.version === undefined ? {} : { version: source.facts.version }),
    warnings: sourceWarnings(source, setAside(source.name), nowMs),
    ...rowsAtRisk(source, nowMs),
    ...(source.problem === undefined ? {} : { problem: source.problem }),
    ...(source.clockSkewMs === undefined
      ? {}
      : { clockSkewS: Math.round(source.clockSkewMs / 1000) }),
    ...(source.rescannedAtMs === undefined ? {} : { rescannedAt: iso(source.rescannedAtMs) }),
    ...shownOf(setAside(source.name)),
  }))
}

function shownOf({ changed = 0, twin_source = 0, ...held }: SetAsideCounts) {
  return { quarantined: changed, twins: twin_source, held }
}

const WAITING_STATES: readonly BatchState[] = [
  'sealed',
  'anchored',
  'requested',
  'finalised',
  'attested',
  'accepted',
  'parked',
]

async function backlog(
  { batches }: Pick<Stores, 'batches'>,
  { unattributed, attributed, waitingSinceMs }: RecordCounts,
  nowMs: number,
): Promise<Status['backlog']> {
  const { states, oldestChangeAtMs } = await batches.counts()
  const age = (sinceMs: number | undefined) =>
    sinceMs === undefined ? {} : { oldestAgeS: seconds(nowMs - sinceMs) }
  const waiting = WAITING_STATES.map(
    (state) => [state, { count: states[state] ?? 0, ...age(oldestChangeAtMs[state]) }] as const,
  )
  return {
    collected: { count: unattributed, ...age(waitingSinceMs.unattributed) },
    attributed: { count: attributed, ...age(waitingSinceMs.attributed) },
    ...Object.fromEntries(waiting),
  }
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000))
}
