import { z } from 'zod'

/** The PostgreSQL database of a LiteLLM, read directly. Times in milliseconds. */
export const litellmPostgresConfig = z.strictObject({
  kind: z.literal('litellm-postgres'),
  /** Permanent: it is part of the identity of every record. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _'),
  /** The variable that holds the URL with its password: postgresql://role:password@host/litellm. */
  databaseUrlEnv: z.string().default('LITELLM_DATABASE_URL'),
  /** Where LiteLLM's tables are. */
  schema: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'the name of a schema, without quotes')
    .default('public'),
  /** Whether answers from LiteLLM's own cache count; their rows have full token counts. */
  cacheHits: z.enum(['count', 'exclude']).default('count'),
  /** Whether streams that the client left count; LiteLLM estimates their tokens. */
  clientDisconnects: z.enum(['count', 'exclude', 'hold']).default('count'),
  /** Whether rows count that are called failures though an answer was paid for. */
  failuresWithUsage: z.enum(['count', 'exclude', 'hold']).default('hold'),
  /** Rows asked for at once. They are reduced in the database to some hundred bytes each. */
  rowsMax: z.int().min(1).max(50_000).default(5_000),
  requestTimeoutMs: z.int().positive().default(30_000),
})

export type LitellmPostgresConfig = z.infer<typeof litellmPostgresConfig>
