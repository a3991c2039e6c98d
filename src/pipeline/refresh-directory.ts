import { RetryableError } from '../domain/errors.js'
import { payerFieldOf } from '../mapping/index.js'
import type { Clock } from '../ports/clock.js'
import type { PayerDirectory } from '../ports/payer-directory.js'
import type { Directories, Payers } from '../ports/payers.js'
import type { Records } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import type { AttributeSettings } from './attribute.js'

export interface RefreshParts {
  readonly records: Records
  readonly payers: Payers
  readonly directories: Directories
  readonly directory: PayerDirectory
  readonly settings: Pick<AttributeSettings, 'payerField' | 'sources'>
  readonly clock: Clock
}

/** Where this process stands. Lost in a crash, and begun anew. */
export interface RefreshPass {
  readAtMs?: number
  /** Asked since then; those of `payers` directories alone. */
  asked?: Set<string>
}

/** Payers asked in one step: answers are saved with every step. */
const PAYERS_A_STEP = 200

/**
 * Reads a directory when it is due, and a directory of single payers as soon as somebody new has
 * usage. What changed in it changes the mapping version, so that all that waits is mapped again.
 */
export async function refreshNext(
  parts: RefreshParts,
  pass: RefreshPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { directory, clock } = parts
  if (pass.readAtMs === undefined || clock.now() >= pass.readAtMs + directory.refreshMs) {
    pass.readAtMs = clock.now()
    pass.asked = new Set()
    if (directory.kind === 'table') return read([], parts, pass, signal)
  }
  if (directory.kind === 'table') return 'idle'
  const asked = pass.asked ?? new Set()
  const fresh = (await waitingPayers(parts)).filter((payer) => !asked.has(payer))
  if (fresh.length === 0) return 'idle'
  const some = fresh.slice(0, PAYERS_A_STEP)
  const outcome = await read(some, parts, pass, signal)
  for (const payer of some) asked.add(payer)
  return fresh.length > some.length ? 'advanced' : outcome
}

async function read(
  payers: readonly string[],
  { directory, directories }: RefreshParts,
  pass: RefreshPass,
  signal: AbortSignal,
): Promise<StepOutcome> {
  try {
    const answers = await directory.read(payers, signal)
    const isWhole = directory.kind === 'table'
    const saved = await directories.save(directory.name, answers, isWhole)
    return saved === 'changed' ? 'advanced' : 'idle'
  } catch (error) {
    delete pass.readAtMs // Due again as soon as the worker's backoff lets it.
    if (error instanceof RetryableError)
      await directories.saveProblem(directory.name, error.message)
    throw error
  }
}

async function waitingPayers({ records, payers, settings }: RefreshParts): Promise<string[]> {
  const { payerField, sources = {} } = settings
  const all = new Set<string>()
  for (const { name } of await records.sources()) {
    const field = payerFieldOf({ payerField, sources }, name)
    for (const payer of await payers.waiting(name, field)) all.add(payer)
  }
  return [...all].sort()
}
