import { describe, expect, test } from 'vitest'
import { ALARMS, type AlarmId, alarmsOf, type StatusFacts } from '../../src/pipeline/alarms.js'
import type { PolicyStatus } from '../../src/pipeline/policy-status.js'

// Goal: every alarm is raised by what it is about, just when its limit is reached, and by nothing else.
// Method: one quiet status, and for each alarm the least change to it that raises it.

const AT = '2026-11-21T12:00:00.000Z'
const ago = (seconds: number): string => new Date(Date.parse(AT) - seconds * 1_000).toISOString()

const lapsWith = (lap: { readonly endedAt?: string; readonly startedAt: string }) => ({
  ...{ at: AT, checks: {} },
  compared: { anchors: { ...lap, unknown: '0' } },
})

const source = { name: 'main', readUntil: ago(80), lagS: 80, lastReadAt: ago(5), warnings: [] }
const wallet = { wallet: 'flow', address: '0x1', balance: '12.5000', at: AT, runwayDays: 90 }
const batch = { seq: '7', state: 'anchored', root: '0x', sealedAt: AT, entries: 1 } as const
const price = { token: 'FLOW', currency: 'usd', price: '0.5', ageS: 60, source: 'oracle' }

const quiet: StatusFacts = {
  version: '1',
  at: AT,
  identity: {},
  sources: [source],
  records: { total: 9, excluded: 1, rejected: 0, sealed: 8 },
  backlog: { collected: { count: 1, oldestAgeS: 5 }, parked: { count: 0 } },
  unmapped: { records: 0, payers: [] },
  parked: [],
  batches: [batch],
  transactions: [],
  lastSettled: { seq: '6', at: ago(7_200) },
  wallets: [wallet],
  prices: [price],
  policies: { at: AT, newest: 5, inForce: 4, accepted: 4, behind: 0 },
  refusedEntries: 0,
  held: [],
  pendingCorrections: 0,
  conservation: { at: ago(7_000), checks: { pool: '0', roots: '0' } },
  workers: [{ name: 'seal', state: 'ok' }],
  storage: { freeBytes: 2 ** 40, storeBytes: 2 ** 30 },
  metering: { directories: [], decisions: {} as never, controlTotals: [] },
}

const inState = (state: string, oldestAgeS: number): Partial<StatusFacts> => ({
  backlog: { ...quiet.backlog, [state]: { count: 2, oldestAgeS } },
})
const sourceWith = (changes: object): Partial<StatusFacts> => ({
  sources: [{ ...source, ...changes }],
})
const walletWith = (changes: object): Partial<StatusFacts> => ({
  wallets: [{ ...wallet, ...changes }],
})
const policiesWith = (changes: Partial<PolicyStatus>): PolicyStatus => ({
  ...{ at: AT, newest: 5, inForce: 4, accepted: 4, behind: 0 },
  ...changes,
})
const held = {
  account: '7',
  periodStart: AT,
  cause: 'above_history',
  why: 'far',
  since: AT,
} as const
const budgets = {
  levels: { ok: 3, warn: 0, soft: 0, dry: 0 },
  ...{ stale: 0, near: [], softBudgets: { count: 0, accounts: [] } },
  held: { balance: 0, budget: 0, quota: 0, operator: 1, owner: 1 },
  operator: { hard: '10', spent: '2', currency: 'USD', level: 'ok' },
  keys: { pending: 1, synced: 3, failed: 0, blocked: 1, waitingSince: ago(299), failing: [] },
} as const
const budgetsWith = (changes: object): Partial<StatusFacts> => ({
  budgets: { ...budgets, ...changes },
})
const near = { account: '7', available: '0.4', currency: 'USD', timeLeftS: 3_700 }
const control = { source: 'main', day: '2026-11-20', comparedAt: AT, compared: 9, differences: [] }
const problem = { code: 'source_refused', message: 'no' }

/** What raises each, and the nearest that does not. */
const CASES: Readonly<Record<AlarmId, readonly [Partial<StatusFacts>, Partial<StatusFacts>]>> = {
  worker_stuck: [
    { workers: [{ name: 'seal', state: 'stuck', since: ago(200) }] },
    { workers: [{ name: 'seal', state: 'starting' }] },
  ],
  worker_failing: [
    { workers: [{ name: 'seal', state: 'failing', since: ago(600), why: 'x: y' }] },
    { workers: [{ name: 'seal', state: 'failing', since: ago(599), why: 'x: y' }] },
  ],
  pipeline_stalled: [inState('accepted', 7_200), inState('accepted', 7_199)],
  behind_collected: [inState('collected', 600), inState('collected', 599)],
  behind_attributed: [inState('attributed', 2_400), inState('attributed', 2_399)],
  behind_sealed: [inState('sealed', 900), inState('sealed', 899)],
  behind_anchored: [inState('anchored', 1_200), inState('anchored', 1_199)],
  behind_requested: [inState('requested', 1_200), inState('requested', 1_199)],
  behind_finalised: [inState('finalised', 1_800), inState('finalised', 1_799)],
  behind_attested: [inState('attested', 1_200), inState('attested', 1_199)],
  behind_accepted: [inState('accepted', 1_200), inState('accepted', 1_199)],
  source_unreadable: [
    sourceWith({ problem, lastReadAt: ago(600) }),
    sourceWith({ problem, lastReadAt: ago(599) }),
  ],
  source_lagging: [sourceWith({ lagS: 3_600 }), sourceWith({ lagS: 3_599 })],
  source_losing_rows: [sourceWith({ rowsAtRisk: 'soon' }), sourceWith({ warnings: ['other'] })],
  clock_skew: [sourceWith({ clockSkewS: -61 }), sourceWith({ clockSkewS: 60 })],
  rows_quarantined: [sourceWith({ quarantined: 1 }), sourceWith({ quarantined: 0 })],
  rows_held: [sourceWith({ held: { held_failure: 1 } }), sourceWith({ held: {}, twins: 0 })],
  rows_rejected: [
    { records: { ...quiet.records, rejected: 3, rejectedAt: ago(86_399) } },
    { records: { ...quiet.records, rejected: 3, rejectedAt: ago(86_400) } },
  ],
  control_totals_differ: [
    { metering: { ...quiet.metering, controlTotals: [{ ...control, differing: 1 }] } as never },
    { metering: { ...quiet.metering, controlTotals: [{ ...control, differing: 0 }] } as never },
  ],
  directory_unreadable: [
    {
      metering: {
        ...quiet.metering,
        directories: [{ name: 'crm', entries: 1, problem: 'x' }],
      } as never,
    },
    { metering: { ...quiet.metering, directories: [{ name: 'crm', entries: 1 }] } as never },
  ],
  records_unmapped: [
    { unmapped: { records: 1, since: AT, payers: [{ payer: 'eve', reason: 'x', records: 1 }] } },
    { unmapped: { records: 0, payers: [] } },
  ],
  entries_held: [{ held: [held] }, { held: [] }],
  corrections_pending: [{ pendingCorrections: 1 }, { pendingCorrections: 0 }],
  batch_parked: [inState('parked', 1), { parked: [] }],
  rounds_missed: [
    { batches: [{ ...batch, missedRounds: 3 }] },
    { batches: [{ ...batch, missedRounds: 2 }] },
  ],
  policies_behind: [
    { policies: policiesWith({ behind: 1, behindSince: ago(600) }) },
    { policies: policiesWith({ behind: 1, behindSince: ago(599) }) },
  ],
  round_poisoned: [{ policies: policiesWith({ poisonedRounds: [7] }) }, {}],
  checkpoint_proposed: [
    { policies: policiesWith({ proposal: { epoch: 9, adoptableAt: ago(-60) } }) },
    {},
  ],
  check_difference: [
    { conservation: { at: ago(7_000), checks: { pool: '-1' } } },
    { conservation: { at: ago(7_000), checks: { pool: '0' } } },
  ],
  checks_late: [
    { conservation: { at: ago(7_300), checks: {} } },
    { conservation: { at: ago(7_300), checks: {} }, lastSettled: { seq: '6', at: ago(3_599) } },
  ],
  audit_late: [
    { conservation: lapsWith({ endedAt: ago(2_592_000), startedAt: ago(60) }) },
    { conservation: lapsWith({ startedAt: ago(2_591_999) }) },
  ],
  entries_refused: [{ refusedEntries: 1 }, { refusedEntries: 0 }],
  wallet_empty: [walletWith({ runwayDays: 0.9 }), walletWith({ runwayDays: 7 })],
  wallet_low: [walletWith({ runwayDays: 6.9 }), walletWith({ runwayDays: undefined })],
  keys_blocked: [budgetsWith({ held: { ...budgets.held, quota: 1 } }), budgetsWith({})],
  runway_low: [
    budgetsWith({ near: [{ ...near, level: 'warn' }] }),
    budgetsWith({ near: [{ ...near, level: 'dry' }] }),
  ],
  budget_soft: [
    budgetsWith({ softBudgets: { count: 1, accounts: ['7'] } }),
    budgetsWith({ operator: { ...budgets.operator, level: 'ok' } }),
  ],
  payments_waiting: [{ payments: { count: 1, since: AT } }, {}],
  operator_budget_spent: [
    budgetsWith({ operator: { ...budgets.operator, level: 'hard' } }),
    budgetsWith({}),
  ],
  keys_unsynced: [
    budgetsWith({ keys: { ...budgets.keys, waitingSince: ago(300) } }),
    budgetsWith({}),
  ],
  runways_stale: [budgetsWith({ stale: 1 }), budgetsWith({})],
  price_missing: [
    { prices: [{ token: 'FLOW', currency: 'usd', paymentsWait: 'there is no feed' }] },
    { prices: [{ token: 'FLOW', currency: 'usd' }] },
  ],
  price_stale: [
    { prices: [{ ...price, paymentsWait: 'the price is too old' }] },
    { prices: [price] },
  ],
  notices_dead: [{ notices: { due: 0, dead: 1 } }, { notices: { due: 9, dead: 0 } }],
  disk_full: [
    { storage: { freeBytes: 2 ** 28 - 1, storeBytes: 1 } },
    { storage: { freeBytes: 2 ** 31, storeBytes: 1 } },
  ],
  disk_low: [
    { storage: { freeBytes: 2 ** 28, storeBytes: 1 } },
    { storage: { freeBytes: 2 ** 31, storeBytes: 1 } },
  ],
}

const idsOf = (changes: Partial<StatusFacts>): AlarmId[] =>
  alarmsOf({ ...quiet, ...changes }).map(({ id }) => id)

test('nothing is raised while all is well', () => {
  expect(alarmsOf(quiet)).toEqual([])
})

describe.each(ALARMS)('$id', ({ id, severity, runbook }) => {
  const [raising, quietest] = CASES[id]

  test('is raised by its reason', () => {
    const alarm = alarmsOf({ ...quiet, ...raising }).find((one) => one.id === id)
    expect(alarm).toMatchObject({ id, severity, runbook: `docs/runbooks/${id}.md` })
    expect(alarm?.says).toMatch(/\S/)
    expect(alarm?.says).not.toMatch(/undefined|NaN|\[object/)
    expect(runbook).toBe(alarm?.runbook)
    if (alarm?.since !== undefined)
      expect(Date.parse(alarm.since)).toBeLessThanOrEqual(Date.parse(AT))
  })

  test('is not raised by less', () => {
    expect(idsOf(quietest)).not.toContain(id)
  })
})

test('what is worst comes first', () => {
  const severities = alarmsOf({
    ...quiet,
    pendingCorrections: 1,
    refusedEntries: 1,
    ...inState('parked', 1),
  })
  expect(severities.map(({ severity }) => severity)).toEqual(['page', 'warning', 'info'])
})

describe('what depends on more than one thing', () => {
  test('a longer interval between batches makes their records wait longer', () => {
    const hour = { sealIntervalMs: 3_600_000 }
    expect(alarmsOf({ ...quiet, ...inState('attributed', 5_399) }, hour)).toEqual([])
    expect(alarmsOf({ ...quiet, ...inState('attributed', 5_400) }, hour)).toHaveLength(1)
  })

  test('a source that sends, or is read no more, does not lag', () => {
    const facts = { ...quiet, ...sourceWith({ lagS: 90_000, problem: undefined }) }
    const limits = { sealIntervalMs: 600_000, sourcesRead: ['other'] }
    expect(alarmsOf(facts, limits)).toEqual([])
  })

  test('a source that was never read is unreadable at once', () => {
    expect(idsOf(sourceWith({ problem, lastReadAt: undefined }))).toEqual(['source_unreadable'])
  })

  test('an empty wallet needs no runway', () => {
    expect(idsOf(walletWith({ balance: '0.0000', runwayDays: undefined }))).toEqual([
      'wallet_empty',
    ])
  })
})

test('what a customer wrote stays one short line, and many things are counted', () => {
  const payer = `\n# HELP "x"${'y'.repeat(500)}`
  const payers = [{ payer, reason: 'x', records: 2 }]
  const [unmapped] = alarmsOf({ ...quiet, unmapped: { records: 2, payers } })
  expect(unmapped?.says).not.toContain('\n')
  expect(unmapped?.says.length).toBeLessThan(150)
  const many = Array.from({ length: 1_000 }, (_, i) => ({ ...held, account: `${i}` }))
  const [entries] = alarmsOf({ ...quiet, held: many })
  expect(entries?.says).toMatch(/vault 0 .*; and 995 more$/)
})
