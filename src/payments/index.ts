import type { CreditPackage } from '../domain/payment.js'
import type { PaymentProvider } from '../ports/payment-provider.js'
import type { CreditsConfig } from './config.js'
import { paystack } from './paystack.js'
import { stripe } from './stripe.js'

/** The providers that the settings name. */
export function createPaymentProviders(
  { stripeSecretEnv, paystackSecretEnv }: CreditsConfig,
  secretOf: (variable: string) => string,
): PaymentProvider[] {
  return [
    ...(stripeSecretEnv === undefined ? [] : [stripe(secretOf(stripeSecretEnv))]),
    ...(paystackSecretEnv === undefined ? [] : [paystack(secretOf(paystackSecretEnv))]),
  ]
}

export function packagesOf({ packages }: CreditsConfig): CreditPackage[] {
  return packages.map(({ credits, price, currency }) => ({ credits, amountMinor: price, currency }))
}
