import { existsSync } from 'node:fs'
import { loadAttributionConfig, loadMappingConfig } from '../config.js'
import { createMapping, type Mapped } from '../mapping/index.js'
import { readStatus, type Status } from '../pipeline/status.js'
import type { Directory } from '../ports/stores.js'
import { systemClock } from '../runtime/clock.js'
import { isRead } from '../sources/index.js'
import { version } from '../version.js'
import { withOpenedStore, withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

/** What the settings say of one user. Needs no network, and no store but for the directory. */
export async function mapUser(user: string, env: Environment, folder: string): Promise<Mapped> {
  const { mapping, databaseUrl } = loadMappingConfig(env, folder)
  const isAsked = mapping.chain.some(({ kind }) => ['sql', 'module', 'legacy_hash'].includes(kind))
  if (isAsked) {
    const { meteringTools } = await import('./metering.js')
    const explained = await meteringTools(env, folder, new AbortController().signal).explain(
      user,
      undefined,
    )
    const { payerField: _field, notAsked: _notAsked, vault: _vault, ...mapped } = explained
    return mapped
  }
  const map = createMapping(mapping)
  const needsDirectory = mapping.chain.some(({ kind }) => kind === 'directory')
  if (!needsDirectory || !existsSync(databaseUrl)) return map(user, { directory: new Map() })
  return withOpenedStore(databaseUrl, async ({ directory }) =>
    map(user, { directory: await directory.findAll([user]) }),
  )
}

/** @throws ConfigError `no_store` before the first start */
export async function readStoredStatus(env: Environment, folder: string): Promise<Status> {
  const { databaseUrl, sealIntervalMs, fileSources } = loadAttributionConfig(env, folder)
  // Without a file of settings there is one source, and it is read.
  const sourcesRead = fileSources?.filter(isRead).map(({ name }) => name)
  return withStore(databaseUrl, async (stores) =>
    readStatus({
      ...{ stores, clock: systemClock, version, identity: await stores.identity.all() },
      limits: { sealIntervalMs, ...(sourcesRead === undefined ? {} : { sourcesRead }) },
    }),
  )
}

export function withDirectory<Result>(
  env: Environment,
  folder: string,
  work: (directory: Directory) => Promise<Result>,
): Promise<Result> {
  const { databaseUrl } = loadMappingConfig(env, folder)
  return withOpenedStore(databaseUrl, ({ directory }) => work(directory))
}
