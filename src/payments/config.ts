import { z } from 'zod'

const variable = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of an environment variable, such as STRIPE_SECRET')

/** Decimal text of a currency with two places: `4.50`. */
const price = z
  .string()
  .regex(/^\d{1,9}\.\d{2}$/, 'expected an amount with two places, such as 4.50')
  .transform((text) => BigInt(text.replace('.', '')))
  .refine((minor) => minor > 0n, 'expected an amount above 0')

/** Of amounts in a currency; providers tell them in units of the last one. */
function decimalsOf(currency: string): number | undefined {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency })
  return format.resolvedOptions().maximumFractionDigits
}

const creditPackage = z.strictObject({
  credits: z.coerce.bigint().min(1n).max(1_000_000_000n),
  price,
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code, such as USD')
    .refine(
      (code) => !/^[A-Z]{3}$/.test(code) || decimalsOf(code) === 2,
      'has no hundredths, in which prices and payments are counted here',
    ),
})

/**
 * `credits` of flowmeter.config.json: prepaid credits for users without a wallet. Without it there is
 * no such account, no ledger and no webhook.
 */
export const creditsConfig = z.strictObject({
  packages: z
    .array(creditPackage)
    .max(100)
    .default([
      { credits: 1_000n, price: 100n, currency: 'USD' },
      { credits: 5_000n, price: 450n, currency: 'USD' },
      { credits: 10_000n, price: 800n, currency: 'USD' },
    ])
    .refine(
      (list) =>
        new Set(list.map(({ price: p, currency }) => `${p} ${currency}`)).size === list.length,
      'two packages cost the same: a payment would not tell which was bought',
    ),
  /** Given once when an account is opened for credits. */
  signUpGrant: z.coerce.bigint().min(0n).max(1_000_000n).default(500n),
  /** The variables that hold the secrets of the providers whose webhooks are taken. */
  stripeSecretEnv: variable.optional(),
  paystackSecretEnv: variable.optional(),
})

export type CreditsConfig = z.infer<typeof creditsConfig>
