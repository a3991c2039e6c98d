import { z } from 'zod'

/**
 * The shapes of an access node's REST API, as far as they are used (flow-go v0.51 and the emulator
 * 1.22.0 agree on them). Numbers come as decimal text, binary as base64.
 */

const count = z.union([z.string().regex(/^\d+$/), z.int()]).transform(Number)
const bigCount = z.union([z.string().regex(/^\d+$/), z.int()]).transform(BigInt)
const id = z.string().regex(/^[0-9a-f]{64}$/)
const base64Text = z.base64().transform((text) => Buffer.from(text, 'base64').toString())

export const blocksAnswer = z.tuple([z.object({ header: z.object({ id, height: count }) })])

export const accountKeyAnswer = z.object({
  /** x ‖ y in hex. */
  public_key: z.string().transform((key) => key.replace(/^0x/, '').toLowerCase()),
  signing_algorithm: z.string(),
  hashing_algorithm: z.string(),
  sequence_number: bigCount,
  weight: count,
  revoked: z.boolean(),
})

export const accountKeysAnswer = z.object({
  keys: z.array(accountKeyAnswer.extend({ index: count })),
})

export const accountAnswer = z.object({
  /** 1e-8 FLOW. */
  balance: bigCount,
  contracts: z.record(z.string(), z.string()).nullish(),
})

export const networkAnswer = z.object({ chain_id: z.string() })

export const submitAnswer = z.object({ id })

/** An empty status, or one of those below, says nothing: the node may have forgotten. */
export const resultAnswer = z.object({
  /** Pending, Finalized, Executed, Sealed, Expired. */
  status: z.string(),
  /** 0: the body did its work. */
  status_code: z.int().default(0),
  error_message: z.string().default(''),
  events: z.array(z.object({ type: z.string(), payload: base64Text })).nullish(),
})

export const eventsAnswer = z.array(
  z.object({
    block_height: count,
    events: z
      .array(
        z.object({
          transaction_id: id,
          transaction_index: count,
          event_index: count,
          payload: base64Text,
        }),
      )
      .nullish(),
  }),
)

/** A script's result: JSON text of the base64 of JSON-Cadence. */
export const scriptAnswer = base64Text

export const errorAnswer = z.object({ message: z.string() })
