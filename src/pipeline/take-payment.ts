import { TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import {
  customerAccount,
  type LedgerTransaction,
  type Millicredits,
  millicredits,
  transfer,
} from '../domain/ledger.js'
import {
  type CreditPackage,
  creditsBack,
  creditsFor,
  type Payment,
  type PaymentEvent,
} from '../domain/payment.js'
import type { Clock } from '../ports/clock.js'
import type { SetAsideReason } from '../ports/payments.js'
import type { Store, Stores } from '../ports/stores.js'

export interface TakePaymentParts {
  readonly store: Store
  readonly clock: Clock
  readonly packages: readonly CreditPackage[]
}

/** What became of an event; each is an answer of 200: sending it again would change nothing. */
export type Taken = 'posted' | 'known' | 'set_aside' | 'ignored'

/**
 * Turns what a provider signed into credits: once, whatever is repeated and in whatever order. Money
 * that matches no package or no account is kept for an operator: nothing that was paid is lost, and
 * nothing is credited that was not.
 */
export function takePayment(parts: TakePaymentParts, event: PaymentEvent): Promise<Taken> {
  return parts.store.transaction(async (stores): Promise<Taken> => {
    switch (event.kind) {
      case 'paid': {
        const { payment } = event
        if ((await stores.payments.payment(payment.id)) !== undefined) return 'known'
        const setAside = await reasonAgainst(stores, payment, parts.packages)
        await stores.payments.savePayment(payment, setAside)
        if (setAside !== undefined || payment.account === undefined) return 'set_aside'
        await credit(stores, parts, { ...payment, account: payment.account })
        return 'posted'
      }
      case 'refunded': {
        await stores.payments.saveRefund(event.refund)
        const payment = await stores.payments.payment(event.refund.payment)
        // Told before its payment, or for one set aside: kept, and taken back once that is credited.
        if (payment?.account === undefined || payment.setAside !== undefined) return 'set_aside'
        return (await takeBack(stores, parts, payment)) ? 'posted' : 'known'
      }
      default:
        return 'ignored'
    }
  })
}

/**
 * Credits a payment that was set aside to the account that an operator names.
 *
 * @throws TerminalError `payment_unknown`, `payment_posted`, `no_package`, `unknown_account`
 */
export function applyPayment(
  parts: TakePaymentParts,
  id: string,
  account: AccountNumber,
): Promise<Millicredits> {
  return parts.store.transaction(async (stores) => {
    const payment = await stores.payments.payment(id)
    if (payment === undefined) throw new TerminalError('payment_unknown', `no payment is ${id}`)
    if (payment.setAside === undefined) {
      throw new TerminalError('payment_posted', `the credits of ${id} are posted already`)
    }
    const told = { ...payment, account }
    const reason = await reasonAgainst(stores, told, parts.packages)
    if (reason !== undefined) throw new TerminalError(reason, REASONS[reason])
    await stores.payments.resolve(payment.id, account)
    return credit(stores, parts, told)
  })
}

export const REASONS: Readonly<Record<SetAsideReason, string>> = {
  no_account: 'the checkout named no account number',
  unknown_account: 'that account does not live on credits: open it with `flowmeter credits open`',
  no_package: 'no package costs that much in that currency: add it to `credits.packages`',
}

async function reasonAgainst(
  { payments }: Stores,
  payment: Payment,
  packages: readonly CreditPackage[],
): Promise<SetAsideReason | undefined> {
  if (payment.account === undefined) return 'no_account'
  if (!(await payments.isAccount(payment.account))) return 'unknown_account'
  return creditsFor(payment, packages) === undefined ? 'no_package' : undefined
}

async function credit(
  stores: Stores,
  { clock, packages }: TakePaymentParts,
  payment: Payment & { readonly account: AccountNumber },
): Promise<Millicredits> {
  const amount = creditsFor(payment, packages) ?? millicredits(0n)
  const to = customerAccount(payment.account)
  const id = topUpId(payment)
  const fact = { id, kind: 'top_up', atMs: clock.now(), memo: `paid ${payment.id}` } as const
  await stores.ledger.post(transfer(fact, { from: 'sales', to, amount }))
  await takeBack(stores, { clock }, payment)
  return amount
}

/**
 * Posts the counter-entry of what went back since the last one. Credits that were used are taken
 * back, too: the balance falls below 0, and the account stops until it is paid up.
 */
async function takeBack(
  { ledger, payments }: Stores,
  { clock }: Pick<TakePaymentParts, 'clock'>,
  payment: Payment,
): Promise<boolean> {
  const posted = await ledger.transaction(topUpId(payment))
  const bought = posted?.postings.find(({ amount }) => amount > 0n)
  if (posted === undefined || bought === undefined) return false
  const refundedMinor = await payments.refunded(payment.id)
  const due = creditsBack(bought.amount, { amountMinor: payment.amountMinor, refundedMinor })
  const back = millicredits(due - (await ledger.refunded(payment.id)))
  if (back <= 0n) return false
  const refund: LedgerTransaction = transfer(
    {
      id: `refund/${payment.id}/${refundedMinor}`,
      kind: 'refund',
      atMs: clock.now(),
      memo: `refunded ${payment.id}`,
    },
    { from: bought.account, to: 'sales', amount: back },
  )
  return ledger.post(refund)
}

function topUpId({ id }: Payment): string {
  return `top_up/${id}`
}
