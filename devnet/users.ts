import { keccak256, toUtf8Bytes } from 'ethers'
import type { VaultParts } from './flow/deploy.js'

/** Somebody who uses LiteLLM, and how the daemon should find their vault. */
export interface DevnetUser {
  /** As LiteLLM logs it. */
  readonly user: string
  /** The mapping strategy that is meant to answer; none for a user without a vault. */
  readonly strategy: 'directory' | 'prefix' | 'direct' | 'hash' | 'none'
  readonly vault?: VaultParts
}

/** The hash mapping, said again: the first 8 bytes of keccak("flowmeter.account.v1" ‖ 0 ‖ user). */
export function hashAccount(user: string): bigint {
  return BigInt(keccak256(toUtf8Bytes(`flowmeter.account.v1\0${user}`)).slice(0, 18))
}

/** One user for each way of mapping, one with too little money, and one whom nobody knows. */
export const DEVNET_USERS: readonly DevnetUser[] = [
  { user: 'alice', strategy: 'directory', vault: { deposit: '200.0' } },
  { user: 'vault_7', strategy: 'prefix', vault: { number: 7n, deposit: '200.0' } },
  { user: '42', strategy: 'direct', vault: { number: 42n, deposit: '0.5' } },
  {
    user: 'acme-corp',
    strategy: 'hash',
    vault: { number: hashAccount('acme-corp'), deposit: '200.0' },
  },
  { user: 'mallory', strategy: 'none' },
]
