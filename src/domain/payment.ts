import type { AccountNumber } from './ids.js'
import { type Millicredits, millicredits } from './ledger.js'

/** What a payment provider said of one payment, its signature checked. */
export interface Payment {
  /** `stripe/<checkout session>`, `paystack/<reference>`: the same in every event about it. */
  readonly id: string
  /** Whose credits it buys, as the checkout was told; absent where it was not, or not a number. */
  readonly account: AccountNumber | undefined
  /** In the smallest unit of the currency. */
  readonly amountMinor: bigint
  /** ISO 4217, upper case. */
  readonly currency: string
  /** What a later refund calls it by; absent where that is the id itself. */
  readonly alias?: string
}

/** Money that went back. */
export interface Refund {
  /** The payment's id or its alias. */
  readonly payment: string
  /** `all` where the provider tells the sum of all refunds of the payment, else the refund's own. */
  readonly id: string
  readonly amountMinor: bigint
  readonly currency: string
}

/** What an event of a provider means to us. Most mean nothing: they are answered, and that is all. */
export type PaymentEvent =
  | { readonly kind: 'paid'; readonly payment: Payment }
  | { readonly kind: 'refunded'; readonly refund: Refund }
  | { readonly kind: 'other'; readonly type: string }

/** So many credits for so much money. */
export interface CreditPackage {
  readonly credits: bigint
  readonly amountMinor: bigint
  /** ISO 4217, upper case. */
  readonly currency: string
}

/** What a payment buys: a package, to the cent and in its currency; undefined buys nothing. */
export function creditsFor(
  { amountMinor, currency }: Pick<Payment, 'amountMinor' | 'currency'>,
  packages: readonly CreditPackage[],
): Millicredits | undefined {
  const bought = packages.find(
    (one) => one.amountMinor === amountMinor && one.currency === currency,
  )
  return bought === undefined ? undefined : millicredits(bought.credits * 1000n)
}

/**
 * What refunds of a payment take back in all: the part of its credits that the money is of the
 * price, rounded down once; all of them where all of the money went back.
 */
export function creditsBack(
  credits: Millicredits,
  { amountMinor, refundedMinor }: { amountMinor: bigint; refundedMinor: bigint },
): Millicredits {
  const back = refundedMinor > amountMinor ? amountMinor : refundedMinor
  return millicredits((credits * back) / amountMinor)
}
