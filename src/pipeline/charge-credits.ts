import { TerminalError } from '../domain/errors.js'
import type { AccountNumber } from '../domain/ids.js'
import {
  chargeInMillicredits,
  customerAccount,
  formatCredits,
  type LedgerAccount,
  type Millicredits,
  millicredits,
  transfer,
} from '../domain/ledger.js'
import type { Clock } from '../ports/clock.js'
import type { Ledger } from '../ports/ledger.js'
import type { AppliedRecord } from '../ports/settler.js'
import type { Store } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import { creditAccounts } from './in-parts.js'

export interface ChargeCreditsParts {
  readonly store: Store
  readonly clock: Clock
}

/**
 * Posts what Flow has charged to accounts that live on credits and the ledger has not: one
 * transaction for each (vault, period) of a settled batch, a counter-entry where a correction
 * lowered it. What is posted is always the difference to the whole charge, so that a repetition, a
 * crash, or a batch that was passed over changes nothing.
 */
export async function chargeCreditsNext({
  store,
  clock,
}: ChargeCreditsParts): Promise<StepOutcome> {
  let posted = 0
  for await (const account of creditAccounts(store)) {
    for (const record of await store.books.applied({ from: account, to: account })) {
      if (await postCharge(record, { store, clock })) posted += 1
    }
  }
  return posted === 0 ? 'idle' : 'advanced'
}

function postCharge(record: AppliedRecord, { store, clock }: ChargeCreditsParts): Promise<boolean> {
  return store.transaction(async (stores) => {
    const customer = customerAccount(record.accountNumber)
    const charged = await stores.ledger.charged(customer, record.periodStart)
    const amount = millicredits(chargeInMillicredits(record.charged) - charged)
    if (amount === 0n) return false
    const fact = { ...factOf(record), atMs: clock.now() }
    return stores.ledger.post(transfer(fact, { from: customer, to: 'usage', amount }))
  })
}

/** At one batch a charge only falls, by corrections: so the two together are told once. */
function factOf({ accountNumber, periodStart, meterEpoch, lastSeq, charged }: AppliedRecord) {
  const day = new Date(periodStart * 1000).toISOString().slice(0, 10)
  return {
    id: `charge/${accountNumber}/${periodStart}/${meterEpoch}.${lastSeq}/${charged}`,
    kind: 'charge',
    memo: `usage of the period from ${day}, batch ${lastSeq}`,
  } as const
}

/**
 * Gives credits, once for each reason. False, and nothing, where that was done.
 *
 * @throws TerminalError `granted_before` where other credits were given for this reason
 */
export async function grantCredits(
  { store, clock }: ChargeCreditsParts,
  { account, amount, reason }: { account: AccountNumber; amount: Millicredits; reason: string },
): Promise<boolean> {
  const fact = {
    id: grantId(account, reason),
    kind: 'grant',
    atMs: clock.now(),
    memo: `granted: ${reason}`,
  } as const
  const to = customerAccount(account)
  const grant = transfer(fact, { from: 'grants', to, amount })
  return store.transaction(async ({ ledger }) => {
    const given = await givenBy(ledger, fact.id, to)
    if (given === undefined || given === amount) return ledger.post(grant)
    const was = `account ${account} was given ${formatCredits(given)} credits for this reason before`
    throw new TerminalError('granted_before', `${was}: say another reason to give more`)
  })
}

/**
 * The counter-entry of a grant, once. False, and nothing, where that was done; credits that were used are
 * taken back, too.
 *
 * @throws TerminalError `no_grant`
 */
export function takeBackGrant(
  { store, clock }: ChargeCreditsParts,
  { account, reason }: { account: AccountNumber; reason: string },
): Promise<boolean> {
  const id = grantId(account, reason)
  const to = customerAccount(account)
  return store.transaction(async ({ ledger }) => {
    const given = await givenBy(ledger, id, to)
    if (given === undefined) {
      const how = 'see the statement for what was'
      throw new TerminalError('no_grant', `account ${account} was given nothing for that: ${how}`)
    }
    const memo = `taken back: ${reason}`
    const fact = { id: `taken_back/${id}`, kind: 'grant', atMs: clock.now(), memo } as const
    return ledger.post(transfer(fact, { from: to, to: 'grants', amount: given }))
  })
}

function grantId(account: AccountNumber, reason: string): string {
  return `grant/${account}/${reason}`
}

/** Undefined where there was no such grant. */
async function givenBy(
  ledger: Pick<Ledger, 'transaction'>,
  id: string,
  to: LedgerAccount,
): Promise<Millicredits | undefined> {
  return (await ledger.transaction(id))?.postings.find(({ account }) => account === to)?.amount
}
