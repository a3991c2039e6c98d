import { loadAttributionConfig } from '../config.js'
import { ConfigError, TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import { customerAccount, type Millicredits, millicredits } from '../domain/ledger.js'
import { packagesOf } from '../payments/index.js'
import { grantCredits, takeBackGrant } from '../pipeline/charge-credits.js'
import { note } from '../pipeline/operator-log.js'
import type { Ordered } from '../pipeline/record-correction.js'
import { applyPayment } from '../pipeline/take-payment.js'
import type { StatementLine } from '../ports/ledger.js'
import type { StoredPayment } from '../ports/payments.js'
import type { Store } from '../ports/stores.js'
import { systemClock as clock } from '../runtime/clock.js'
import { withStore } from './stored.js'

/** What the operator can do with prepaid credits. Whatever changes something goes into the log. */
export interface CreditsTools {
  /** Opens the account for credits and gives what new ones are given; false where it was open. */
  open(account: AccountNumber, ordered: Ordered): Promise<boolean>
  /** False where this grant was given before. */
  grant(account: AccountNumber, credits: bigint, ordered: Ordered): Promise<boolean>
  /** False where it was taken back before. */
  takeBack(account: AccountNumber, grant: string, ordered: Ordered): Promise<boolean>
  balance(account: AccountNumber): Promise<Millicredits>
  statement(account: AccountNumber): AsyncIterable<StatementLine>
  payments(limit: number): Promise<readonly StoredPayment[]>
  apply(payment: string, account: AccountNumber, ordered: Ordered): Promise<Millicredits>
}

type Environment = Readonly<Record<string, string | undefined>>

const LINES_A_PAGE = 500

export function creditsTools(env: Environment, folder: string): CreditsTools {
  const { credits, databaseUrl } = loadAttributionConfig(env, folder)
  if (credits === undefined) {
    throw new ConfigError(
      'no_credits',
      'flowmeter.config.json has no `credits`: add it, `{}` is enough, to keep prepaid credits.',
    )
  }
  const stored = <Result>(work: (store: Store) => Promise<Result>) => withStore(databaseUrl, work)
  /** One transaction with its line in the operators' log. */
  const logged = <Result>(
    entry: { verb: string; ordered: Ordered; arguments: Readonly<Record<string, string>> },
    work: (store: Store) => Promise<Result>,
  ) =>
    stored((store) =>
      store.transaction(async (stores) => {
        const inside: Store = { ...store, ...stores, transaction: (each) => each(stores) }
        const result = await work(inside)
        if (result !== false) await note(stores, entry.verb, entry.arguments, entry.ordered)
        return result
      }),
    )

  return {
    open: (account, ordered) =>
      logged(
        { verb: 'credits open', ordered, arguments: { account: `${account}` } },
        async (store) => {
          if (!(await store.payments.openAccount(account))) return false
          const amount = millicredits(credits.signUpGrant * 1000n)
          if (amount > 0n) {
            await grantCredits({ store, clock }, { account, amount, reason: 'sign-up' })
          }
          return true
        },
      ),
    grant: (account, given, ordered) =>
      logged(
        {
          verb: 'credits grant',
          ordered,
          arguments: { account: `${account}`, credits: `${given}` },
        },
        async (store) => {
          if (!(await store.payments.isAccount(account))) {
            const how = 'open it with `flowmeter credits open`'
            throw new TerminalError('unknown_account', `account ${account} has no credits: ${how}`)
          }
          const { reason } = ordered
          return grantCredits(
            { store, clock },
            { account, amount: millicredits(given * 1000n), reason },
          )
        },
      ),
    takeBack: (account, grant, ordered) =>
      logged(
        { verb: 'credits take-back', ordered, arguments: { account: `${account}`, grant } },
        (store) => takeBackGrant({ store, clock }, { account, reason: grant }),
      ),
    balance: (account) => stored((store) => store.ledger.balance(customerAccount(account))),
    async *statement(account) {
      for (let after = 0; ; ) {
        const page = await stored((store) =>
          store.ledger.statement(customerAccount(account), after, LINES_A_PAGE),
        )
        yield* page
        after += page.length
        if (page.length < LINES_A_PAGE) return
      }
    },
    payments: (limit) => stored((store) => store.payments.setAside(limit)),
    apply: (payment, account, ordered) =>
      logged(
        { verb: 'credits apply', ordered, arguments: { payment, account: `${account}` } },
        (store) => applyPayment({ store, clock, packages: packagesOf(credits) }, payment, account),
      ),
  }
}
