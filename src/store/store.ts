import { type Kysely, type Migration, Migrator } from 'kysely'
import { ConfigError } from '../domain/errors.js'
import type { Clock } from '../ports/clock.js'
import type { Store, Stores } from '../ports/stores.js'
import { sqlAccessTokens } from './access-tokens.js'
import { sqlBatches } from './batches.js'
import { sqlBooks } from './books.js'
import { sqlBudgetTerms } from './budget-terms.js'
import { sqlControls } from './controls.js'
import { sqlCorrections } from './corrections.js'
import { sqlDecisions } from './decisions.js'
import { sqlDirectories } from './directories.js'
import { sqlDirectory } from './directory.js'
import { sqlHolds } from './holds.js'
import { sqlIdentity } from './identity.js'
import { sqlKeys } from './keys.js'
import { sqlLedger } from './ledger.js'
import { sqlMeters } from './meters.js'
import { migrations } from './migrations/index.js'
import { sqlNotices } from './notices.js'
import { sqlOperatorLog } from './operator-log.js'
import { sqlOutbox } from './outbox.js'
import { sqlPayers } from './payers.js'
import { sqlPayments } from './payments.js'
import { sqlReadings } from './readings.js'
import { sqlRecords } from './records.js'
import { sqlReportFacts } from './report-facts.js'
import { sqlRunways } from './runways.js'
import { sqlSealedUsages } from './sealed-usage.js'
import { sqlSetAsides } from './set-asides.js'
import { sqlSightings } from './sightings.js'
import { sqlSpending } from './spending.js'
import { sqlStops } from './stops.js'
import type { Tables } from './tables.js'
import { sqlTotals } from './totals.js'
import { sqlViews } from './views.js'
import { sqlWatch } from './watch.js'

/** All slices over one database. */
export function sqlStore(db: Kysely<Tables>, clock: Clock): Store {
  return {
    ...slices(db, clock),
    transaction: (work) => db.transaction().execute((tx) => work(slices(tx, clock))),
    migrate: () => migrateToLatest(db),
    close: () => db.destroy(),
  }
}

function slices(db: Kysely<Tables>, clock: Clock): Stores {
  return {
    records: sqlRecords(db, clock),
    readings: sqlReadings(db),
    totals: sqlTotals(db),
    batches: sqlBatches(db, clock),
    outbox: sqlOutbox(db, clock),
    directory: sqlDirectory(db),
    directories: sqlDirectories(db, clock),
    payers: sqlPayers(db, clock),
    decisions: sqlDecisions(db, clock),
    setAsides: sqlSetAsides(db, clock),
    controls: sqlControls(db),
    sealedUsages: sqlSealedUsages(db),
    reportFacts: sqlReportFacts(db),
    notices: sqlNotices(db, clock),
    corrections: sqlCorrections(db, clock),
    operatorLog: sqlOperatorLog(db, clock),
    stops: sqlStops(db, clock),
    ledger: sqlLedger(db),
    payments: sqlPayments(db, clock),
    keys: sqlKeys(db, clock),
    holds: sqlHolds(db, clock),
    spending: sqlSpending(db),
    budgetTerms: sqlBudgetTerms(db),
    runways: sqlRunways(db),
    books: sqlBooks(db),
    identity: sqlIdentity(db),
    meters: sqlMeters(db),
    sightings: sqlSightings(db, clock),
    watch: sqlWatch(db, clock),
    accessTokens: sqlAccessTokens(db, clock),
    views: sqlViews(db),
  }
}

/** @throws ConfigError `store_newer` when a later version has written this store */
async function migrateToLatest(db: Kysely<Tables>): Promise<void> {
  const provider = { getMigrations: async (): Promise<Record<string, Migration>> => migrations }
  const migrator = new Migrator({ db, provider })
  const known = new Set(Object.keys(migrations))
  const newer = (await executedNames(db)).filter((name) => !known.has(name))
  if (newer.length > 0) {
    throw new ConfigError(
      'store_newer',
      `The store was written by a later version of Flowmeter (${newer.join(', ')}). Run that ` +
        'version, or restore a backup made by this one.',
    )
  }
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

async function executedNames(db: Kysely<Tables>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some(({ name }) => name === 'kysely_migration')) return []
  const rows = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .execute()
  return rows.map(({ name }) => name)
}
