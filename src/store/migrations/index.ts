import type { Migration } from 'kysely'
import { records } from './0001_records.js'
import { batches } from './0002_batches.js'
import { outbox } from './0003_outbox.js'
import { books } from './0004_books.js'

/** In order of their names. One that has run anywhere is never edited: add the next. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001_records': records,
  '0002_batches': batches,
  '0003_outbox': outbox,
  '0004_books': books,
}
