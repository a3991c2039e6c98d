import { decodeEntry } from '../../support/test-flow.js'
import type { FlowState } from './models/contracts.js'
import type { VaultState } from './models/vault.js'
import type { World } from './world.js'

/** Contracts that charge whatever comes: without the provider's limit, or from closed vaults. */
export function chargeAnyway({ flow }: World, rule: 'limit' | 'closing'): void {
  const { run } = flow
  flow.run = (state, body, now) => {
    if (body.kind !== 'settle') return run(state, body, now)
    if (rule === 'limit') {
      const outcome = run({ ...state, maxCharge: undefined }, body, now)
      return { ...outcome, state: { ...outcome.state, maxCharge: state.maxCharge } }
    }
    const statusOf = (account: bigint) => state.vaults.get(account)?.status ?? 'open'
    const opened = withVaults(state, (vault) => ({ ...vault, status: 'open' }))
    const outcome = run(opened, body, now)
    const closed = withVaults(outcome.state, (vault, account) => {
      return { ...vault, status: statusOf(account) }
    })
    return { ...outcome, state: closed }
  }
}

/** Contracts that lack one of their rules, to see that its absence shows. */
export function runWithout({ flow }: World, rule: 'plan of the period' | 'meter'): void {
  const { run } = flow
  flow.run = (state, body, now) => {
    if (rule === 'meter' && body.kind === 'accept') {
      // Whoever's header it is: the contract takes the meter that the caller names.
      const { meter } = body.proof
      const outcome = run({ ...state, stream: { ...state.stream, meter } }, body, now)
      const stream = { ...outcome.state.stream, meter: state.stream.meter }
      return { ...outcome, state: { ...outcome.state, stream } }
    }
    if (rule === 'meter' || body.kind !== 'settle') return run(state, body, now)
    const outcome = run(withVaults(state, newestPlanOnly), body, now)
    return { ...outcome, state: withVaults(outcome.state, plansOf(state)) }
  }
}

/** Contracts that forget which batch they applied last, and charge what an entry says again. */
export function addMoney({ flow }: World): void {
  const { run } = flow
  flow.run = (state, body, now) => {
    const outcome = run(state, body, now)
    if (body.kind !== 'settle') return outcome
    let again = outcome.state
    const results = outcome.events.map(({ result }) => result)
    for (const [i, bytes] of body.runs.flatMap(({ entries }) => entries).entries()) {
      const { accountNumber, periodStart } = decodeEntry(bytes)
      if (results[i] !== 'stale') continue
      again = withVaults(again, (vault, account) =>
        account === accountNumber ? doubled(vault, periodStart) : vault,
      )
    }
    return { ...outcome, state: again }
  }
}

function doubled(vault: VaultState, periodStart: number): VaultState {
  const record = vault.records.get(periodStart)
  if (record === undefined) return vault
  const records = new Map(vault.records)
  records.set(periodStart, { ...record, charged: record.charged * 2n })
  return {
    ...vault,
    records,
    charged: vault.charged + record.charged,
    owed: vault.owed + record.charged,
  }
}

function newestPlanOnly(vault: VaultState): VaultState {
  const planId = vault.plans.at(-1)?.planId ?? ''
  return { ...vault, plans: [{ fromPeriodStart: 0, planId }] }
}

function plansOf(state: FlowState): (vault: VaultState, account: bigint) => VaultState {
  return (vault, account) => ({ ...vault, plans: state.vaults.get(account)?.plans ?? vault.plans })
}

function withVaults(
  state: FlowState,
  change: (vault: VaultState, account: bigint) => VaultState,
): FlowState {
  const vaults = [...state.vaults].map(
    ([account, vault]) => [account, change(vault, account)] as const,
  )
  return { ...state, vaults: new Map(vaults) }
}
