import { existsSync } from 'node:fs'
import { ConfigError } from '../domain/errors.js'
import type { Store } from '../ports/stores.js'
import { systemClock } from '../runtime/clock.js'

export function noStore(file: string): ConfigError {
  return new ConfigError(
    'no_store',
    `There is no store at ${file} yet. Start the daemon once (flowmeter start), or set ` +
      'DATABASE_URL to where its store is.',
  )
}

/** @throws ConfigError `no_store` before the first start */
export async function withStore<Result>(
  file: string,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  if (!existsSync(file)) throw noStore(file)
  return withOpenedStore(file, work)
}

/** The same, with a new store where there is none: a directory may be filled before the first start. */
export async function withOpenedStore<Result>(
  file: string,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const { openStore } = await import('../store/index.js')
  const store = openStore(file, systemClock)
  try {
    await store.migrate()
    return await work(store)
  } finally {
    await store.close()
  }
}
