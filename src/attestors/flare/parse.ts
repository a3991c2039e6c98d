import { z } from 'zod'
import { type Hash, type Hex, hash } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'

/*
 * Everything that nodes and Flare's servers answer passes through here: unknown in, our types out.
 */

const quantity = z.string().regex(/^0x[0-9a-fA-F]{1,64}$/)
export const bigQuantity = quantity.transform((text) => BigInt(text))
export const intQuantity = quantity
  .transform(Number)
  .refine(Number.isSafeInteger, 'a number too large')

/** Hexadecimal in any case, to lower case. */
export const bytes = z
  .string()
  .regex(/^0x(?:[0-9a-fA-F]{2})*$/, 'no bytes in hexadecimal')
  .transform((text) => text.toLowerCase() as Hex)
export const bytes32 = bytes
  .refine((text) => text.length === 66, 'not 32 bytes')
  .transform((text): Hash => hash(text))
export const address = bytes.refine((text) => text.length === 42, 'not 20 bytes')

export const rpcAnswer = z.object({
  result: z.unknown().optional(),
  error: z
    .object({
      code: z.number().optional(),
      message: z.string(),
      data: z.unknown().optional(),
    })
    .nullish(),
})

/** Timestamps are Unix seconds. */
export const block = z.object({
  number: intQuantity,
  timestamp: intQuantity,
  baseFeePerGas: bigQuantity.optional(),
})

export const log = z.object({
  address,
  topics: z.array(bytes32),
  data: bytes,
  blockNumber: intQuantity,
  transactionHash: bytes32,
  logIndex: intQuantity,
  removed: z.boolean().optional(),
})
export type Log = z.infer<typeof log>

export const transaction = z
  .object({ from: address, to: address.nullable(), value: bigQuantity, input: bytes })
  .nullable()
export type Transaction = NonNullable<z.infer<typeof transaction>>

export const receipt = z
  .object({
    blockNumber: intQuantity,
    status: intQuantity,
    logs: z.array(log),
  })
  .nullable()

/** One attestation as the DA layer serves it. */
export const attestation = z.object({ response_hex: bytes, proof: z.array(bytes32) })
export const attestations = z.array(attestation)
export const daError = z.object({ error: z.string() })

/**
 * @param what for the message: who answered what
 * @throws RetryableError `attestor_nonsense`
 */
export function parseAs<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new RetryableError('attestor_nonsense', `${what}: ${z.prettifyError(parsed.error)}`)
}
