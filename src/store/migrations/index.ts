import type { Migration } from 'kysely'
import { records } from './0001_records.js'
import { batches } from './0002_batches.js'
import { outbox } from './0003_outbox.js'
import { books } from './0004_books.js'
import { collecting } from './0005_collecting.js'
import { readings } from './0007_readings.js'
import { collectFrom } from './0008_collect_from.js'
import { mapping } from './0010_mapping.js'
import { decisions } from './0011_decisions.js'
import { controls } from './0012_controls.js'
import { flare } from './0015_flare.js'
import { setAsides } from './0020_set_asides.js'
import { directoryVersion } from './0021_directory_version.js'
import { corrections } from './0030_corrections.js'
import { operatorLog } from './0031_operator_log.js'
import { stops } from './0032_stops.js'
import { unrecordedCorrections } from './0033_unrecorded_corrections.js'
import { accessTokens } from './0040_access_tokens.js'
import { reports } from './0050_reports.js'
import { views } from './0050_views.js'
import { limits } from './0051_limits.js'
import { notices } from './0051_notices.js'
import { ledger } from './0060_ledger.js'
import { payments } from './0061_payments.js'
import { keys } from './0062_keys.js'
import { workLists } from './0063_work_lists.js'
import { budgets } from './0064_budgets.js'
import { budgetLevels } from './0065_budget_levels.js'
import { holdChanges } from './0066_hold_changes.js'
import { operatorDays } from './0067_operator_days.js'
import { refundCurrency } from './0068_refund_currency.js'
import { correctionsOfEntries } from './0069_corrections_of_entries.js'
import { paymentsSetAside } from './0070_payments_set_aside.js'

/** In order of their names. One that has run anywhere is never edited: add the next. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_records': records,
  '0002_batches': batches,
  '0003_outbox': outbox,
  '0004_books': books,
  '0010_mapping': mapping,
  '0011_decisions': decisions,
  '0012_controls': controls,
  '0007_readings': readings,
  '0008_collect_from': collectFrom,
  '0005_collecting': collecting,
  '0015_flare': flare,
  '0030_corrections': corrections,
  '0031_operator_log': operatorLog,
  '0020_set_asides': setAsides,
  '0021_directory_version': directoryVersion,
  '0032_stops': stops,
  '0033_unrecorded_corrections': unrecordedCorrections,
  '0040_access_tokens': accessTokens,
  '0050_reports': reports,
  '0051_notices': notices,
  '0060_ledger': ledger,
  '0061_payments': payments,
  '0062_keys': keys,
  '0050_views': views,
  '0051_limits': limits,
  '0063_work_lists': workLists,
  '0064_budgets': budgets,
  '0065_budget_levels': budgetLevels,
  '0066_hold_changes': holdChanges,
  '0067_operator_days': operatorDays,
  '0068_refund_currency': refundCurrency,
  '0069_corrections_of_entries': correctionsOfEntries,
  '0070_payments_set_aside': paymentsSetAside,
}
