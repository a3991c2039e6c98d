import { z } from 'zod'

/** A meter that sends its usage as CloudEvents to POST /v1/usage. */
export const usageEventsConfig = z.strictObject({
  kind: z.literal('usage-events'),
  /** Permanent: it is part of the identity of every record. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _'),
  /** The variable that holds the token by which the sender is known. */
  tokenEnv: z.string(),
  /** The `type`s of events that are taken. Others in a batch are refused, and the batch with them. */
  eventTypes: z.array(z.string().min(1)).min(1).default(['flowmeter.usage.v1']),
})

export type UsageEventsConfig = z.infer<typeof usageEventsConfig>
