import { Bell } from '../runtime/bell.js'
import type { Worker } from '../runtime/worker.js'
import { type AuditParts, coursesOf } from './audit.js'
import { type LapParts, type LapPass, lapNext } from './laps.js'

/** What `flowmeter audit` computes of every batch, all the time: a worker for each of its courses. */
export function auditWorkers(
  parts: AuditParts & Pick<LapParts, 'clock'>,
  idleMs: number,
): Worker[] {
  const { store, clock } = parts
  return coursesOf(parts).map((course) => {
    const pass: LapPass = {}
    return {
      name: `audit/${course.name}`,
      step: (signal) => lapNext(course, { books: store.books, clock }, pass, signal),
      idleMs,
      bell: new Bell(),
    }
  })
}
