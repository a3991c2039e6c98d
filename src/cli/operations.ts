import { existsSync } from 'node:fs'
import { loadMappingConfig } from '../config.js'
import { ConfigError } from '../domain/errors.js'
import { logEntries, verifyLog } from '../pipeline/operator-log.js'
import { listParked, releaseEntry, retryBatch, skipBatch, skipEntry } from '../pipeline/parked.js'
import type { StoredLogEntry } from '../ports/operator-log.js'
import type { Store } from '../ports/stores.js'
import { systemClock as clock } from '../runtime/clock.js'
import type { OperationsTools } from './operations-tools.js'

type Environment = Readonly<Record<string, string | undefined>>

export function operationsTools(env: Environment, folder: string): OperationsTools {
  const withStored = <Result>(work: (store: Store) => Promise<Result>): Promise<Result> =>
    withStore(loadMappingConfig(env, folder).databaseUrl, work)
  return {
    log: () =>
      withStored(async (store) => {
        const entries: StoredLogEntry[] = []
        for await (const entry of logEntries(store)) entries.push(entry)
        return entries
      }),
    verifyLog: () => withStored(verifyLog),
    parked: () => withStored(listParked),
    retry: (seq, ordered) => withStored((store) => retryBatch(store, seq, ordered)),
    skip: (seq, ordered) => withStored((store) => skipBatch(store, seq, ordered)),
    skipEntry: (key, ordered) => withStored((store) => skipEntry(store, key, ordered)),
    release: (key, verb, ordered) => withStored((store) => releaseEntry(store, key, verb, ordered)),
  }
}

/** @throws ConfigError `no_store` before the first start */
export async function withStore<Result>(
  file: string,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  if (!existsSync(file)) {
    throw new ConfigError(
      'no_store',
      `There is no store at ${file} yet. Start the daemon once (flowmeter start), or set ` +
        'DATABASE_URL to where its store is.',
    )
  }
  const { openStore } = await import('../store/index.js')
  const store = openStore(file, clock)
  try {
    await store.migrate()
    return await work(store)
  } finally {
    await store.close()
  }
}
