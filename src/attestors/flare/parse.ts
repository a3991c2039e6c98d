import { z } from 'zod'
import { type Hash, type Hex, hash } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'

/*
 * Everything that nodes and Flare's servers answer passes through here: unknown in, our types out.
 */

/** Block times and places of logs are far below; what is above cannot be encoded as Flare has it. */
const UINT32_MAX = 0xffff_ffff
/** A block's topics, by the EVM. */
const TOPICS_MAX = 4
/** Of Flare's blocks of 15 million gas a log query or a receipt holds some thousands. */
const LOGS_MAX = 50_000
/** A round holds some tens of attestations. */
const ATTESTATIONS_MAX = 10_000
/** Of 21000 gas at least, a block of Flare holds some 700. */
const TRANSACTIONS_MAX = 10_000
const MESSAGE_CHARACTERS_MAX = 300
/** Of a tree of all atoms of the world. */
const PATH_MAX = 256

const quantity = z.string().regex(/^0x[0-9a-fA-F]{1,64}$/)
export const bigQuantity = quantity.transform((text) => BigInt(text))
export const intQuantity = quantity
  .transform(Number)
  .refine(Number.isSafeInteger, 'a number too large')

const uint32 = intQuantity.refine((value) => value <= UINT32_MAX, 'more than 32 bits')

/**
 * So many at most, and only the first that is wrong is told: each item of a hostile list of millions
 * would get a report of its own, which is more than memory has.
 */
function list<Item extends z.ZodType>(item: Item, most: number) {
  return z
    .array(z.unknown())
    .max(most)
    .transform((values, context): z.infer<Item>[] => {
      const items: z.infer<Item>[] = []
      for (const [i, value] of values.entries()) {
        const parsed = item.safeParse(value)
        if (!parsed.success) {
          const [message = ''] = parsed.error.issues.map((issue) => issue.message)
          context.addIssue({ code: 'custom', message, path: [i] })
          return z.NEVER
        }
        items.push(parsed.data)
      }
      return items
    })
}

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
  timestamp: uint32,
  baseFeePerGas: bigQuantity.optional(),
})

/** A block with what its transactions call; `to` is null for a deployment. */
export const fullBlock = z.object({
  number: intQuantity,
  timestamp: uint32,
  transactions: list(z.object({ to: address.nullable(), input: bytes }), TRANSACTIONS_MAX),
})

export const log = z.object({
  address,
  topics: list(bytes32, TOPICS_MAX),
  data: bytes,
  blockNumber: intQuantity,
  transactionHash: bytes32,
  logIndex: uint32,
  removed: z.boolean().optional(),
})
export type Log = z.infer<typeof log>
export const logs = list(log, LOGS_MAX)

export const transaction = z
  .object({ from: address, to: address.nullable(), value: bigQuantity, input: bytes })
  .nullable()
export type Transaction = NonNullable<z.infer<typeof transaction>>

export const receipt = z
  .object({
    blockNumber: intQuantity,
    status: intQuantity,
    logs: list(log, LOGS_MAX),
  })
  .nullable()

/** One attestation as the DA layer serves it. */
export const attestation = z.object({ response_hex: bytes, proof: list(bytes32, PATH_MAX) })
export const attestations = list(attestation, ATTESTATIONS_MAX)
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
  const why = z.prettifyError(parsed.error).replaceAll('✖ ', '').slice(0, MESSAGE_CHARACTERS_MAX)
  throw new RetryableError('attestor_nonsense', `${what}: ${why}`)
}
