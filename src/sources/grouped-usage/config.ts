import { z } from 'zod'

/** A gateway that shows sums by user and model, and no single calls. Times in milliseconds. */
export const groupedUsageConfig = z.strictObject({
  kind: z.literal('grouped-usage'),
  /** Permanent: it is part of the identity of every record. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _'),
  apiUrl: z.url({ protocol: /^https?$/ }),
  /** The variable that holds the key, so that no file and no dump of settings ever does. */
  apiKeyEnv: z.string(),
  /**
   * `usage`: GET /usage?start_date&end_date&group_by=user_id,model, a day at a time.
   * `analytics`: GET /analytics/usage?since&until, a bucket at a time.
   */
  endpoint: z.enum(['usage', 'analytics']),
  /** What one sum covers, in UTC. `usage` knows dates only. */
  bucket: z.enum(['hour', 'day']).default('day'),
  /** Whether end_date is the last day that counts, or the day after it. Of `usage` alone. */
  endDate: z.enum(['inclusive', 'exclusive']).default('inclusive'),
  requestTimeoutMs: z.int().positive().default(30_000),
  responseBytesMax: z
    .int()
    .positive()
    .default(32 * 1024 * 1024),
})

export type GroupedUsageConfig = z.infer<typeof groupedUsageConfig>
