import { z } from 'zod'
import { type Hash, type Hex, toHex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import { accountNumber, batchSeq } from '../../domain/ids.js'
import { parseUfix64, type Wad, wad } from '../../domain/money.js'
import { PERIOD_KINDS } from '../../domain/period.js'
import {
  type AppliedRecord,
  type Balance,
  ENTRY_RESULTS,
  type EntrySettled,
  type Stream,
  type Vault,
} from '../../ports/settler.js'
import type { Plan } from '../../pricing/plan.js'
import { decodeCadence } from './json-cadence.js'

/** Foreign names end here: what scripts and events of cadence/ give, and nothing else. */

const uint = z.bigint().nonnegative()
/** Counts and instants that a float holds exactly. */
const small = uint.max(BigInt(Number.MAX_SAFE_INTEGER)).transform(Number)
const account = uint.max((1n << 64n) - 1n).transform(accountNumber)
const amount = z.string().transform((text, context) => {
  try {
    return parseUfix64(text)
  } catch {
    context.addIssue({ code: 'custom', message: 'not a UFix64' })
    return z.NEVER
  }
})
const money = uint.transform((value): Wad => wad(value))
const hash = uint.max((1n << 256n) - 1n).transform(hashOf)
const meter = z
  .string()
  .regex(/^[0-9a-f]{40}$/)
  .transform((digits): Hex => `0x${digits}`)

const NO_STREAM: Stream = { meter: undefined, meterEpoch: 0, activeFrom: 0, isActive: false }
/** A UFix64 as whole seconds, rounded up. */
const seconds = amount.transform((units) => Number((units + 99_999_999n) / 100_000_000n))

export const streamView = z
  .object({ meter, meterEpoch: small, activeFrom: seconds, isActive: z.boolean() })
  .nullable()
  .transform((stream): Stream => stream ?? NO_STREAM)

const vaultView = z
  .object({
    account,
    period: z.enum(PERIOD_KINDS),
    plans: z.array(z.object({ periodStart: small, plan: uint })),
    openingPeriod: small,
    floor: small,
    isOpen: z.boolean(),
  })
  .transform(
    (vault): Vault => ({
      account: vault.account,
      isOpen: vault.isOpen,
      periodKind: vault.period,
      openedPeriodStart: vault.openingPeriod,
      floor: vault.floor,
      plans: vault.plans.map(({ periodStart, plan }) => ({
        fromPeriodStart: periodStart,
        planId: plan.toString(),
      })),
    }),
  )

export const vaultsView = z.array(vaultView)

export const modelsView = z.array(z.string())

const rateView = z.object({
  modelId: small,
  prompt: uint,
  cachedPrompt: uint,
  completion: uint,
  request: uint,
})
const tierView = z.object({ upTo: uint.nullable(), pricePerMillion: uint, discountBps: uint })

/** Null: there is no such plan. */
export const planView = z
  .object({
    currency: z.string(),
    mode: z.enum(['graduated', 'volume']),
    period: z.enum(PERIOD_KINDS),
    minimum: money,
    fee: money,
    tiers: z.array(tierView).min(1),
    rates: z.array(rateView),
  })
  .transform(({ period, rates, ...terms }): Plan => {
    const byModel = rates.map(({ modelId, ...rate }) => [modelId, rate] as const)
    return { ...terms, periodKind: period, rates: new Map(byModel) }
  })
  .nullable()

export const lightClientView = z.object({
  lastEpoch: small,
  epochs: z.array(z.object({ poisonedRounds: z.array(small) })),
  /** Null: none is proposed. */
  checkpoint: z.object({ epoch: small, adoptableAt: z.coerce.number() }).nullable(),
})

/** One integer a voter: address << 16 | weight. */
const voterView = uint.transform((packed) => {
  const digits = (packed >> 16n).toString(16).padStart(40, '0')
  return { address: `0x${digits}` as Hex, weight: Number(packed & 0xffffn) }
})

/** Null: no policy of that epoch is held. */
export const policySignersView = z
  .object({ threshold: small, voters: z.array(voterView).min(1) })
  .nullable()

/** Null: no policy that is held serves it. */
export const roundView = z.object({ isPoisoned: z.boolean(), epoch: small.nullable() })

/** The roots held of batches; null: not held. */
export const rootsView = z.array(hash.nullable())

export const targetView = z.object({ name: z.string(), hash, anchor: z.string() })

/** Null: there is no such provider. */
/** Bytes of an account. */
export const storageView = z.object({ used: uint, capacity: uint })

export const providerView = z.object({ vaults: small, plans: z.array(uint) }).nullable()

type RecordFields = Omit<AppliedRecord, 'accountNumber' | 'periodStart'>
const NOTHING_APPLIED: RecordFields = {
  meterEpoch: 0,
  lastSeq: 0n,
  billable: 0n,
  charged: wad(0n),
}

export const recordsView = z.array(
  z
    .object({ meterEpoch: small, lastSeq: uint, billable: uint, charged: money })
    .nullable()
    .transform((record): RecordFields => record ?? NOTHING_APPLIED),
)

const balanceView = z
  .object({ account, balance: amount, charged: money, paid: money, owed: money, writtenOff: money })
  .transform((balance): Balance => balance)

/** Null: there is no such vault. */
export const balancesView = z.array(balanceView.nullable())

export const conservationView = z.object({
  pools: z.array(z.object({ balance: amount, accounted: amount })),
  books: z.array(z.object({ balances: amount, earnings: amount })),
  page: z.object({ vaults: small, balances: amount }),
})

/** An event of any provider. A malformed entry may name no account: it is number 0 then. */
export const entrySettledView = z
  .object({
    provider: uint,
    seq: uint.min(1n).transform(batchSeq),
    account,
    periodStart: small,
    result: z.enum(ENTRY_RESULTS),
  })
  .transform(({ account, ...rest }) => ({ ...rest, accountNumber: account }))

/** An event of any provider: a total that was lowered. */
export const usageCorrectedView = z
  .object({
    provider: uint,
    account,
    periodStart: small,
    billable: uint,
    afterSeq: uint,
    meterEpoch: small,
    reason: z.string(),
  })
  .transform(({ account, ...rest }) => ({ ...rest, accountNumber: account }))

export type EntrySettledFields = Omit<EntrySettled, 'height' | 'txId'>

/**
 * Reads a script's result or an event's payload.
 *
 * @param what for the message
 * @throws RetryableError `settler_nonsense`
 */
export function readCadence<T>(json: unknown, view: z.ZodType<T>, what: string): T {
  try {
    const parsed = view.safeParse(decodeCadence(json))
    if (parsed.success) return parsed.data
    throw new TypeError(z.prettifyError(parsed.error))
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const message = `${what} is not as expected: ${error.message}`
    throw new RetryableError('settler_nonsense', message, { cause: error })
  }
}

/** 32 bytes of an integer. */
function hashOf(value: bigint): Hash {
  return toHex(Buffer.from(value.toString(16).padStart(64, '0'), 'hex')) as Hash
}
