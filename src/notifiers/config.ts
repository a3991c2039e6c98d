import { z } from 'zod'
import { SEVERITIES } from '../ports/notifier.js'

const variable = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of an environment variable, such as SLACK_URL')

const place = {
  /** Unique. What was to be told to it is kept under this name. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'expected a name such as on-call'),
  /** Its address is a secret, and comes from there. */
  urlEnv: variable,
  /** What is less severe is not told there. */
  minSeverity: z.enum(SEVERITIES).default('warning'),
}

export const notifyConfig = z
  .array(
    z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('webhook'), ...place, secretEnv: variable }),
      z.strictObject({ kind: z.literal('slack'), ...place }),
    ]),
  )
  .max(16)
  .refine(
    (all) => new Set(all.map(({ name }) => name)).size === all.length,
    'expected a name of its own for each',
  )
export type NotifyConfig = z.infer<typeof notifyConfig>
