import { ACCOUNT_ALARM_RULES } from './account-alarm-rules.js'
import {
  type AlarmRule,
  aboutDisk,
  aboutPrices,
  aboutSources,
  aboutWallets,
  aboutWorkers,
  ageS,
  before,
  behind,
  earliest,
  heldRows,
  isRead,
  named,
  oldest,
  quoted,
  waiting,
} from './alarm-words.js'

const MINUTE_S = 60
const HOUR_S = 3_600
const DAY_S = 86_400
const GIB = 2 ** 30

const FAILING_S = 10 * MINUTE_S
const STALLED_S = 2 * HOUR_S
const LAG_S = HOUR_S
const SKEW_S = MINUTE_S
const UNREADABLE_S = 10 * MINUTE_S
const CHECKS_LATE_S = HOUR_S
const AUDIT_LATE_S = 30 * DAY_S
const REJECTS_TOLD_S = DAY_S
const ROUNDS_MISSED = 3
const POLICIES_WAIT_S = 10 * MINUTE_S
const RUNWAY_LOW_DAYS = 7
const RUNWAY_OUT_DAYS = 1
const FREE_LOW_BYTES = 2 * GIB
const FREE_OUT_BYTES = GIB / 4

/** A record's way, as far as it goes on by itself. */
const WAYS = [
  ...(['collected', 'attributed', 'sealed', 'anchored', 'requested'] as const),
  ...(['finalised', 'attested', 'accepted'] as const),
]

/**
 * All alarms that there are, in the order of a record's way. `/status`, the page, the metrics, the
 * rules in deploy/prometheus, docs/runbooks and what is told elsewhere have them from here.
 */
export const ALARM_RULES = {
  worker_stuck: {
    severity: 'page',
    means: 'A worker’s step does not end: nothing of its kind is done any more',
    find: ({ workers = [] }) => aboutWorkers(workers.filter(({ state }) => state === 'stuck')),
  },
  worker_failing: {
    severity: 'warning',
    means: 'Every step of a worker has failed for ten minutes',
    find: ({ workers = [], at }) =>
      aboutWorkers(
        workers.filter(({ state, since }) => state === 'failing' && ageS(since, at) >= FAILING_S),
      ),
  },
  pipeline_stalled: {
    severity: 'page',
    means: 'Usage that could go on has been in one state for two hours',
    find: ({ backlog, at }, { sealIntervalMs }) =>
      oldest(
        WAYS.flatMap((state) => {
          const limitS = STALLED_S + (state === 'attributed' ? sealIntervalMs / 1_000 : 0)
          return waiting(state, limitS, { backlog, at })
        }),
      ),
  },
  behind_collected: behind('collected', 10 * MINUTE_S, 'Records are read and not attributed'),
  behind_attributed: {
    severity: 'warning',
    means: 'Records have an account and are in no batch, long after the next one was due',
    find: (facts, { sealIntervalMs }) =>
      oldest(waiting('attributed', sealIntervalMs / 1_000 + 30 * MINUTE_S, facts)),
  },
  behind_sealed: behind('sealed', 15 * MINUTE_S, 'A batch is sealed and not anchored on Flare'),
  behind_anchored: behind('anchored', 20 * MINUTE_S, 'No attestation was requested for a batch'),
  behind_requested: behind('requested', 20 * MINUTE_S, 'A batch’s voting round is not final'),
  behind_finalised: behind('finalised', 30 * MINUTE_S, 'A batch’s proof is not to be had'),
  behind_attested: behind('attested', 20 * MINUTE_S, 'Flow has not accepted a proven batch'),
  behind_accepted: behind(
    'accepted',
    20 * MINUTE_S,
    'Entries of an accepted batch are not settled',
  ),
  source_unreadable: {
    severity: 'warning',
    means: 'A source cannot be read. Nothing is lost for as long as it keeps its rows',
    find: ({ sources, at }, limits) =>
      aboutSources(
        sources.filter(
          ({ name, problem, lastReadAt }) =>
            isRead(name, limits) && problem !== undefined && ageS(lastReadAt, at) >= UNREADABLE_S,
        ),
        ({ problem }) => `${problem?.code}: ${problem?.message}`,
        ({ lastReadAt }) => lastReadAt,
      ),
  },
  source_lagging: {
    severity: 'warning',
    means: 'A source is read, and its newest rows are an hour away',
    find: ({ sources }, limits) =>
      aboutSources(
        sources.filter(
          ({ name, problem, lagS }) =>
            isRead(name, limits) && problem === undefined && lagS >= LAG_S,
        ),
        ({ lagS }) => `read until ${lagS} s ago`,
        ({ readUntil }) => readUntil,
      ),
  },
  source_losing_rows: {
    severity: 'page',
    means: 'A source deletes rows before they are read: usage is lost, or soon will be',
    find: ({ sources }, limits) =>
      aboutSources(
        sources.filter(({ name, rowsAtRisk }) => isRead(name, limits) && rowsAtRisk !== undefined),
        ({ rowsAtRisk = '' }) => rowsAtRisk,
        () => undefined,
      ),
  },
  clock_skew: {
    severity: 'warning',
    means: 'A source’s clock and ours differ by more than a minute',
    find: ({ sources }) =>
      aboutSources(
        sources.filter(({ clockSkewS = 0 }) => Math.abs(clockSkewS) > SKEW_S),
        ({ clockSkewS = 0 }) => `its clock minus ours is ${clockSkewS} s`,
        () => undefined,
      ),
  },
  rows_quarantined: {
    severity: 'warning',
    means: 'Rows changed after they were read. They are billed as they were first',
    find: ({ sources }) =>
      aboutSources(
        sources.filter(({ quarantined = 0 }) => quarantined > 0),
        ({ quarantined = 0 }) => `${quarantined} rows`,
        () => undefined,
      ),
  },
  rows_held: {
    severity: 'warning',
    means: 'Rows do not count until somebody decides: failures, streams cut off, calls seen twice',
    find: ({ sources }) =>
      aboutSources(
        sources.filter((source) => heldRows(source) > 0),
        (source) => `${heldRows(source)} rows`,
        () => undefined,
      ),
  },
  rows_rejected: {
    severity: 'warning',
    means: 'A row of a source could not be read as usage, in the last day',
    find: ({ records: { rejected, rejectedAt }, at }) =>
      rejectedAt !== undefined && ageS(rejectedAt, at) < REJECTS_TOLD_S
        ? { says: `${rejected} rows were rejected in all`, since: rejectedAt }
        : undefined,
  },
  control_totals_differ: {
    severity: 'warning',
    means: 'What was read of a day is not what the source has added up by itself',
    find: ({ metering }) => {
      const days = (metering?.controlTotals ?? []).filter(({ differing }) => differing > 0)
      return named(days.map(({ source, day, differing }) => `${source} ${day}: ${differing}`))
    },
  },
  directory_unreadable: {
    severity: 'warning',
    means: 'A directory of payers cannot be read: its last answers stay in force',
    find: ({ metering }) =>
      named(
        (metering?.directories ?? []).flatMap(({ name, problem }) =>
          problem === undefined ? [] : `${name}: ${problem}`,
        ),
      ),
  },
  records_unmapped: {
    severity: 'warning',
    means: 'Billable records have no vault to be charged to',
    find: ({ unmapped: { records, payers, since } }) => {
      if (records === 0) return undefined
      const [first] = payers
      const example = first === undefined ? '' : `, such as those of ${quoted(first.payer)}`
      return { says: `${records} records wait${example}`, since }
    },
  },
  entries_held: {
    severity: 'warning',
    means: 'Nothing of a vault’s period is sealed until an operator has released it',
    find: ({ held }) => {
      const who = named(held.map(({ account, cause }) => `vault ${account} (${cause})`))
      return who && { ...who, since: earliest(held.map(({ since }) => since)) }
    },
  },
  corrections_pending: {
    severity: 'info',
    means: 'Corrections were recorded and are not on Flow: nothing is sealed for their vaults',
    find: ({ pendingCorrections: count }) =>
      count > 0 ? { says: `${count} corrections wait for the provider` } : undefined,
  },
  batch_parked: {
    severity: 'page',
    means: 'A batch has stopped and does not go on by itself',
    find: ({ backlog, parked, at }) => {
      const { count = 0, oldestAgeS = 0 } = backlog.parked ?? {}
      if (count === 0) return undefined
      const who = named(parked.map(({ seq, reason }) => `batch ${seq}: ${reason}`))
      return { says: who?.says ?? `${count} batches`, since: before(at, oldestAgeS) }
    },
  },
  rounds_missed: {
    severity: 'warning',
    means: 'Three of Flare’s voting rounds or more did not prove a batch',
    find: ({ batches }) =>
      named(
        batches.flatMap(({ seq, missedRounds = 0 }) =>
          missedRounds >= ROUNDS_MISSED ? `batch ${seq}: ${missedRounds} rounds` : [],
        ),
      ),
  },
  policies_behind: {
    severity: 'page',
    means: 'The light client on Flow lacks a signing policy, and no batch can be accepted',
    find: ({ policies, at }) => {
      const { behind: behindBy = 0, behindSince: since = at } = policies ?? {}
      // It comes before it is in force: one that is late by minutes is late for a reason.
      if (behindBy === 0 || ageS(since, at) < POLICIES_WAIT_S) return undefined
      return { says: `${behindBy} reward epochs behind`, since }
    },
  },
  round_poisoned: {
    severity: 'page',
    means: 'Flare’s voters signed two roots for one round: more than half of their weight lied',
    find: ({ policies }) =>
      named((policies?.poisonedRounds ?? []).map((round) => `round ${round}`)),
  },
  checkpoint_proposed: {
    severity: 'page',
    means: 'Governance wants the light client to start anew from another signing policy',
    find: ({ policies }) => {
      if (policies?.proposal === undefined) return undefined
      const { epoch, adoptableAt } = policies.proposal
      return { says: `reward epoch ${epoch}, may be adopted from ${adoptableAt} on` }
    },
  },
  check_difference: {
    severity: 'page',
    means: 'The ledger, Flare and Flow do not agree: money is not right until it is explained',
    find: ({ conservation }) => {
      const found = Object.entries(conservation?.checks ?? {}).filter(([, value]) => value !== '0')
      const who = named(found.map(([check, difference]) => `${check} ${difference}`))
      return who && { ...who, since: conservation?.at }
    },
  },
  checks_late: {
    severity: 'warning',
    means: 'A batch has settled an hour ago and was not compared with Flow since',
    find: ({ conservation, lastSettled, at }) => {
      if (lastSettled === undefined || ageS(lastSettled.at, at) < CHECKS_LATE_S) return undefined
      if (conservation !== undefined && conservation.at >= lastSettled.at) return undefined
      return { says: `not since batch ${lastSettled.seq}`, since: lastSettled.at }
    },
  },
  audit_late: {
    severity: 'warning',
    means: 'A check that goes over all batches has not gone over them for a month',
    find: ({ conservation, at }) => {
      const late = Object.entries(conservation?.compared ?? {}).flatMap(
        ([check, { endedAt, startedAt }]) => {
          const since = endedAt ?? startedAt
          return ageS(since, at) < AUDIT_LATE_S ? [] : [{ check, since }]
        },
      )
      const who = named(late.map(({ check }) => check))
      return who && { ...who, since: earliest(late.map(({ since }) => since)) }
    },
  },
  entries_refused: {
    severity: 'warning',
    means: 'Flow did not apply the newest entry of a vault’s period',
    find: ({ refusedEntries: count }) => (count > 0 ? { says: `${count} entries` } : undefined),
  },
  wallet_empty: {
    severity: 'page',
    means: 'A wallet has nothing left, or less than for a day: transactions stop',
    find: ({ wallets }) =>
      aboutWallets(
        wallets.filter(
          ({ balance, runwayDays = RUNWAY_LOW_DAYS }) =>
            /^[0.]*$/.test(balance) || runwayDays < RUNWAY_OUT_DAYS,
        ),
      ),
  },
  wallet_low: {
    severity: 'warning',
    means: 'A wallet lasts less than a week at the pace of the last one',
    find: ({ wallets }) =>
      aboutWallets(
        wallets.filter(
          ({ runwayDays = RUNWAY_LOW_DAYS }) =>
            runwayDays >= RUNWAY_OUT_DAYS && runwayDays < RUNWAY_LOW_DAYS,
        ),
      ),
  },
  ...ACCOUNT_ALARM_RULES,
  price_missing: {
    severity: 'warning',
    means: 'A token has no price: usage is charged, and payments in it wait',
    find: ({ prices = [] }) =>
      aboutPrices(prices.filter(({ paymentsWait, price }) => paymentsWait && price === undefined)),
  },
  price_stale: {
    severity: 'warning',
    means: 'A token’s price is too old or out of its bounds: payments in it wait',
    find: ({ prices = [] }) =>
      aboutPrices(prices.filter(({ paymentsWait, price }) => paymentsWait && price !== undefined)),
  },
  notices_dead: {
    severity: 'warning',
    means: 'A message about alarms was given up: somebody was not told',
    find: ({ notices }) =>
      notices !== undefined && notices.dead > 0
        ? { says: `${notices.dead} messages`, since: notices.deadSince }
        : undefined,
  },
  disk_full: {
    severity: 'page',
    means: 'The store’s disk has next to no room left: soon nothing can be written',
    find: ({ storage }) => aboutDisk(storage, 0, FREE_OUT_BYTES),
  },
  disk_low: {
    severity: 'warning',
    means: 'The store’s disk has little room left',
    find: ({ storage }) => aboutDisk(storage, FREE_OUT_BYTES, FREE_LOW_BYTES),
  },
} as const satisfies Readonly<Record<string, AlarmRule>>
