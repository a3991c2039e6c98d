import { z } from 'zod'

/** A LiteLLM proxy. Times in milliseconds. */
export const litellmConfig = z.strictObject({
  kind: z.literal('litellm'),
  /** Permanent: it is part of the identity of every record. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _'),
  apiUrl: z.url({ protocol: /^https?$/ }),
  /** The variable that holds the key, so that no file and no dump of settings ever does. */
  apiKeyEnv: z.string().default('LITELLM_API_KEY'),
  /** Whether answers from LiteLLM's own cache count; their rows have full token counts. */
  cacheHits: z.enum(['count', 'exclude']).default('count'),
  /** Whether streams that the client left count; LiteLLM estimates their tokens. */
  clientDisconnects: z.enum(['count', 'exclude', 'hold']).default('count'),
  /** Whether rows count that are called failures though an answer was paid for. */
  failuresWithUsage: z.enum(['count', 'exclude', 'hold']).default('hold'),
  /** LiteLLM's own `maximum_spend_logs_retention_period`, which no route tells; warned of in time. */
  retentionMs: z.int().positive().optional(),
  /** Rows asked for at once. Releases before mid 2026 take 100, which is found out. */
  pageSize: z.int().min(1).max(1000).default(1000),
  requestTimeoutMs: z.int().positive().default(30_000),
  /** A page of 1000 rows was measured at 6 to 9 MB. A larger answer is not read to its end. */
  responseBytesMax: z
    .int()
    .positive()
    .default(64 * 1024 * 1024),
})

export type LitellmConfig = z.infer<typeof litellmConfig>

/** One LiteLLM without a file: by the names that its integrations have always had. */
export const litellmSettings = {
  apiUrl: {
    env: 'LITELLM_API_URL',
    aliases: [
      'LITELLM_BASE_URL',
      'LITELLM_PROXY_URL',
      'LITELLM_PROXY_API_BASE',
      'LITELLM_API_BASE',
    ],
    help: 'URL of the LiteLLM proxy',
  },
  apiKey: {
    env: 'LITELLM_API_KEY',
    secret: true,
    aliases: ['LITELLM_MASTER_KEY', 'LITELLM_PROXY_API_KEY'],
    help: 'key of a user with the role proxy_admin_viewer',
  },
  sourceName: { env: 'LITELLM_SOURCE_NAME', help: 'permanent name of this LiteLLM; main' },
} as const
