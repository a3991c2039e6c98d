import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { createAttestor, createMeterKey } from '../attestors/index.js'
import { type Config, loadConfig, loadMappingConfig } from '../config.js'
import { type Adopted, adopt } from '../pipeline/adopt.js'
import { audit } from '../pipeline/audit.js'
import { bindIdentity, identityOf } from '../pipeline/identity.js'
import { logEntries, verifyLog } from '../pipeline/operator-log.js'
import { listParked, releaseEntry, retryBatch, skipBatch, skipEntry } from '../pipeline/parked.js'
import type { Ordered } from '../pipeline/record-correction.js'
import { type Rotated, rotateMeter } from '../pipeline/rotate-meter.js'
import type { StoredLogEntry } from '../ports/operator-log.js'
import type { Checks, Store } from '../ports/stores.js'
import { systemClock as clock } from '../runtime/clock.js'
import { createSettler } from '../settlers/index.js'
import type { OperationsTools } from './operations-tools.js'
import { noStore, withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

export function operationsTools(
  env: Environment,
  folder: string,
  signal: AbortSignal,
): OperationsTools {
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
    audit: () => auditStore(loadConfig(env, folder), signal),
    async backup(file, mayReplace) {
      const { databaseUrl } = loadMappingConfig(env, folder)
      if (!existsSync(databaseUrl)) throw noStore(databaseUrl)
      const { backupStore } = await import('../store/index.js')
      return backupStore(databaseUrl, resolve(folder, file), mayReplace)
    },
    adopt: (ordered, isSignedForgotten) =>
      adoptStore(loadConfig(env, folder), ordered, isSignedForgotten, signal),
    rotateMeter: (ordered) => rotateStore(loadConfig(env, folder), ordered, signal),
    parked: () => withStored(listParked),
    retry: (id, ordered) => withStored((store) => retryBatch(store, id, ordered)),
    skip: (id, ordered) => withStored((store) => skipBatch(store, id, ordered)),
    skipEntry: (key, ordered) => withStored((store) => skipEntry(store, key, ordered)),
    release: (key, verb, ordered) => withStored((store) => releaseEntry(store, key, verb, ordered)),
  }
}

async function auditStore(config: Config, signal: AbortSignal): Promise<Checks> {
  return withStore(config.databaseUrl, async (store) => {
    const history = await createAttestor(config.attestor, store)
    const meterKey = await createMeterKey(config.attestor)
    const settler = await createSettler(config.settler)
    await bindIdentity(store.identity, identityOf(history, settler, meterKey))
    const { receiptSecret } = config
    return audit({ store, history, settler, receiptSecret }, signal)
  })
}

/** Of a store that stays bound to all but its meter. No daemon may run on it meanwhile. */
async function rotateStore(
  config: Config,
  ordered: Ordered,
  signal: AbortSignal,
): Promise<Rotated> {
  return withLockedStore(config, async (store) => {
    const attestor = await createAttestor(config.attestor, store)
    const meterKey = await createMeterKey(config.attestor)
    const settler = await createSettler(config.settler)
    const { meter: _, ...others } = identityOf(attestor, settler, meterKey)
    await bindIdentity(store.identity, others)
    return rotateMeter({ store, attestor, settler, meterKey }, ordered, signal)
  })
}

/** No daemon may run on the store meanwhile. */
async function adoptStore(
  config: Config,
  ordered: Ordered,
  isSignedForgotten: boolean,
  signal: AbortSignal,
): Promise<Adopted> {
  return withLockedStore(config, async (store) => {
    const attestor = await createAttestor(config.attestor, store)
    const meterKey = await createMeterKey(config.attestor)
    const settler = await createSettler(config.settler)
    // The headers of another chain or meter must not get into it.
    await bindIdentity(store.identity, identityOf(attestor, settler, meterKey))
    const parts = { store, attestor, settler, meterKey, clock, isSignedForgotten }
    return adopt(parts, ordered, signal)
  })
}

async function withLockedStore<Result>(
  { databaseUrl }: Config,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const { lockStore } = await import('../store/index.js')
  const unlock = lockStore(databaseUrl, clock.now())
  try {
    return await withStore(databaseUrl, work)
  } finally {
    unlock()
  }
}
