import { z } from 'zod'
import { type Hash, toHex } from '../../domain/bytes.js'
import { parseUfix64, wad } from '../../domain/money.js'
import { PERIOD_KINDS } from '../../domain/period.js'
import {
  type ProviderCard,
  type PublishedPlan,
  VAULT_STATES,
  type VaultCard,
  type VaultMoney,
} from '../../ports/desk.js'

/** What scripts of cadence/ tell people, beyond what the daemon needs. */

const uint = z.bigint().nonnegative()
const small = uint.max(BigInt(Number.MAX_SAFE_INTEGER)).transform(Number)
const amount = z
  .string()
  .regex(/^\d+\.\d{1,8}$/)
  .transform(parseUfix64)
const money = uint.transform(wad)
const hash = uint
  .max((1n << 256n) - 1n)
  .transform((value) => toHex(Buffer.from(value.toString(16).padStart(64, '0'), 'hex')) as Hash)

const rateView = z.object({
  modelId: small,
  prompt: uint,
  cachedPrompt: uint,
  completion: uint,
  request: uint,
})

export const publishedPlanView = z
  .object({
    id: uint,
    provider: uint,
    hash,
    currency: z.string(),
    mode: z.enum(['graduated', 'volume']),
    period: z.enum(PERIOD_KINDS),
    minimum: money,
    fee: money,
    notice: small,
    tiers: z
      .array(z.object({ upTo: uint.nullable(), pricePerMillion: uint, discountBps: uint }))
      .min(1),
    rates: z.array(rateView).min(1),
    isRetired: z.boolean(),
  })
  .transform(
    ({ id, provider, hash, period, notice, rates, isRetired, ...terms }): PublishedPlan => {
      const byModel = rates.map(({ modelId, ...rate }) => [modelId, rate] as const)
      const rest = { periodKind: period, noticeS: notice, rates: new Map(byModel) }
      return { id, provider, hash, terms: { ...terms, ...rest }, isRetired }
    },
  )
  .nullable()

export const providerCardView = z
  .object({
    id: uint,
    vaults: small,
    nextNumber: uint,
    models: z.array(z.string()),
    plans: z.array(uint),
  })
  .transform((card): ProviderCard => card)
  .nullable()

export const quoteView = z.object({ billable: uint, price: money }).nullable()

export const vaultCardsView = z.array(
  z
    .object({
      account: uint,
      customer: z.string(),
      token: z.string(),
      currency: z.string(),
      period: z.string(),
      plans: z.array(z.object({ periodStart: small, plan: uint })),
      isOpen: z.boolean(),
      isReserved: z.boolean(),
      isAutopayOn: z.boolean(),
      isPaused: z.boolean(),
      state: z.enum(VAULT_STATES),
      endsAt: small.nullable(),
      storageDeposit: amount,
    })
    .transform(
      ({ plans, ...card }): VaultCard => ({
        ...card,
        plans: plans.map(({ periodStart, plan }) => ({
          fromPeriodStart: periodStart,
          planId: plan,
        })),
      }),
    ),
)

export const vaultMoneyView = z.tuple([
  z
    .object({
      balance: amount,
      free: amount,
      charged: money,
      paid: money,
      owed: money,
      writtenOff: money,
      spent: money,
      cap: money.nullable(),
      entitled: money.nullable(),
      validUntil: small.nullable(),
      withdrawal: z.object({ amount, maturesAt: small, lapsesAt: small }).nullable(),
    })
    .transform((found): VaultMoney => found)
    .nullable(),
])

export const meterView = z
  .object({ meter: z.string(), meterEpoch: small, highestSeq: uint })
  .nullable()
export const ownIdView = uint.nullable()
