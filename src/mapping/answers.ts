import { z } from 'zod'
import type { StrategyKind } from './strategy.js'

const HOUR_MS = 3_600_000

/** Permanent, like the name of a source: kept answers are found by it. */
const directoryName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _')
const refreshMs = z
  .int()
  .min(1_000)
  .max(24 * HOUR_MS)
  .default(60_000)

/** A query whose first two columns are payer and account number: the whole table, each time. */
const sqlDirectory = z.strictObject({
  kind: z.literal('sql'),
  name: directoryName,
  /** The variable with `postgres://…` or `sqlite:path`, so that no password is in a file. */
  databaseUrlEnv: z.string().min(1),
  query: z.string().min(1),
  refreshMs,
  timeoutMs: z.int().min(100).max(600_000).default(30_000),
})
export type SqlDirectoryConfig = z.infer<typeof sqlDirectory>

/** A JavaScript module that exports `accountOf(payer)`; its path is from the folder of settings. */
const moduleDirectory = z.strictObject({
  kind: z.literal('module'),
  name: directoryName.default('module'),
  path: z.string().min(1),
  refreshMs,
  /** For one payer. */
  timeoutMs: z.int().min(10).max(60_000).default(1_000),
})
export type ModuleDirectoryConfig = z.infer<typeof moduleDirectory>

/** A query on the operator's database says it: its answers are a table that a worker keeps. */
export const sql = {
  config: sqlDirectory,
  create: ({ name }) => ({
    name: `sql/${name}`,
    map: (payer, { answers }) => {
      const table = answers?.get(name)
      // Another rule must not answer for a table that may have the payer.
      if (table?.isRead !== true) return { reason: 'was not read yet', isFinal: true }
      return table.byPayer.get(payer) ?? { reason: 'the query has no row of it' }
    },
  }),
} satisfies StrategyKind<SqlDirectoryConfig> & { readonly config: typeof sqlDirectory }

/** A function of the operator says it: a worker asks it, and its answers are kept. */
export const module = {
  config: moduleDirectory,
  create: ({ name }) => ({
    name: `module/${name}`,
    map: (payer, { answers }) =>
      answers?.get(name)?.byPayer.get(payer) ?? { reason: 'was not asked yet', isFinal: true },
  }),
} satisfies StrategyKind<ModuleDirectoryConfig> & { readonly config: typeof moduleDirectory }
