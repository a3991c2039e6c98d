import type { VaultChange } from '../../ports/desk.js'
import { address, optional, ufix64 } from './arguments.js'
import { bool, type CadenceValue, string, uint } from './json-cadence.js'

/** The transaction of a change, and its arguments after provider and number. */
export function changeTransaction(change: VaultChange): {
  readonly transaction: string
  readonly rest: readonly CadenceValue[]
} {
  const { transaction, rest = [] } = partsOf(change)
  return { transaction, rest }
}

function partsOf(change: VaultChange): { transaction: string; rest?: readonly CadenceValue[] } {
  switch (change.kind) {
    case 'autopay':
      return { transaction: 'customer/set_autopay', rest: [bool(change.isOn)] }
    case 'pause':
      return { transaction: 'customer/set_paused', rest: [bool(change.isPaused)] }
    case 'cap':
      return { transaction: 'customer/set_cap', rest: [limitOf(change.limit)] }
    case 'entitlement': {
      const { limit, validUntil } = change
      const until = optional(validUntil === null ? undefined : uint('UInt64', validUntil))
      return { transaction: 'customer/set_entitlement', rest: [limitOf(limit), until] }
    }
    case 'plan':
      return { transaction: 'customer/choose_plan', rest: [uint('UInt64', change.plan)] }
    case 'request_withdrawal':
      return { transaction: 'customer/request_withdrawal', rest: [ufix64(change.amount)] }
    case 'execute_withdrawal':
      if (change.at === undefined) return { transaction: 'customer/execute_withdrawal' }
      return {
        transaction: 'customer/execute_token_withdrawal',
        rest: [string(change.at.storage)],
      }
    case 'leave':
      return { transaction: 'customer/leave_vault' }
    case 'stay':
      return { transaction: 'customer/stay_in_vault' }
    case 'refund_receiver': {
      const rest = [address(change.receiver), string(change.at?.receiver ?? 'flowTokenReceiver')]
      return { transaction: 'customer/set_refund_receiver', rest }
    }
    case 'take_refund': {
      const rest = [string(change.at?.storage ?? 'flowTokenVault')]
      return { transaction: 'customer/take_refund', rest }
    }
    case 'end':
      return { transaction: 'anybody/end_vault' }
    case 'refund':
      return { transaction: 'anybody/refund_vault' }
  }
}

function limitOf(limit: bigint | null): CadenceValue {
  return optional(limit === null ? undefined : uint('UInt128', limit))
}
