import { z } from 'zod'

/** The operator's own rule of what counts: a module that exports `decide(record)`. */
export const aggregationConfig = z.strictObject({
  /** From the folder of the settings. */
  path: z.string().min(1),
  /** For one record. */
  timeoutMs: z.int().min(10).max(60_000).default(1_000),
})
export type AggregationConfig = z.infer<typeof aggregationConfig>
