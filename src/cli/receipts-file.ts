import { z } from 'zod'
import { type Hex, hash, isHex } from '../domain/bytes.js'
import { ConfigError } from '../domain/errors.js'
import { accountNumber, batchSeq, modelId } from '../domain/ids.js'
import type { Receipts } from '../domain/receipts.js'
import { toJson } from './parts.js'

const FORMAT = 'flowmeter.receipts.v1'

/** Integers that a float may round are text. */
const u64 = z
  .string()
  .regex(/^\d{1,20}$/, 'not an integer, written as text')
  .transform(BigInt)
  .refine((value) => value < 1n << 64n, 'does not fit 64 bits')
const small = z.int().nonnegative()
const bytes32 = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/, 'not 32 bytes in lower-case hexadecimal')
  .transform(hash)

const recordReceipt = z
  .object({
    key: z.object({ source: z.string(), requestId: z.string() }),
    startedAtMs: small,
    model: z.string().max(16_000, 'too long for the name of a model'),
    modelId: small.max(0xffff).transform(modelId),
    promptTokens: u64,
    cachedPromptTokens: u64,
    completionTokens: u64,
    salt: bytes32,
  })
  .refine((one) => one.cachedPromptTokens <= one.promptTokens, 'more is cached than prompted')

const counters = z.object({
  modelId: z.string(),
  promptTokens: u64,
  cachedPromptTokens: u64,
  completionTokens: u64,
  requests: u64,
})
/** Of a manifest, what the check looks at. */
const manifest = z.object({
  corrections: z
    .array(z.object({ account: z.string(), periodStart: z.string(), taken: z.array(counters) }))
    .default([]),
})
const manifestJson = z.string().refine((text) => {
  try {
    return manifest.safeParse(JSON.parse(text)).success
  } catch {
    return false
  }
}, 'not a manifest')

const meter = z.object({
  address: z
    .string()
    .regex(/^0x[0-9a-f]{40}$/, 'not 20 bytes in lower-case hexadecimal')
    .transform((text) => text as Hex),
  epoch: small,
})

const batchReceipt = z
  .object({
    meter: meter.optional(),
    header: z.object({
      seq: u64.refine((seq) => seq > 0n, 'batches begin with 1').transform(batchSeq),
      root: bytes32,
      prevRoot: bytes32,
      sealedAt: small,
      target: bytes32,
      manifest: bytes32,
    }),
    manifestJson,
    entry: z.string().refine(isHex, 'not bytes in lower-case hexadecimal').optional(),
    leaves: z.array(bytes32).max(128),
    path: z.array(bytes32).max(64),
    records: z.array(recordReceipt),
  })
  .refine(({ entry, leaves }) => entry === undefined || leaves.length > 0, 'has no leaves')
  .transform(({ entry, meter, ...rest }) => ({
    ...rest,
    ...(meter === undefined ? {} : { meter }),
    ...(entry === undefined ? {} : { entry }),
  }))

const receiptsFile = z
  .object({
    format: z.literal(FORMAT),
    provider: u64,
    accountNumber: u64.transform(accountNumber),
    periodStart: small.max(0xffffffff),
    batches: z.array(batchReceipt),
  })
  .transform(({ format: _format, ...receipts }): Receipts => receipts)

/** One JSON object, for the customer alone: it holds the salts of their calls. */
export function receiptsJson(receipts: Receipts): string {
  return toJson({ format: FORMAT, ...receipts })
}

/**
 * Reads what `receiptsJson` wrote. Whoever checks a bill was given the file by the other side, so
 * nothing in it is taken for granted.
 *
 * @throws ConfigError `receipts_file`, with every place that is wrong
 */
export function parseReceipts(json: unknown): Receipts {
  const parsed = receiptsFile.safeParse(json)
  if (parsed.success) return parsed.data
  throw new ConfigError('receipts_file', `These are no receipts:\n${z.prettifyError(parsed.error)}`)
}
