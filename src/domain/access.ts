import type { AccountNumber } from './ids.js'

/**
 * What somebody may do, each including the ones before: `read` looks, `execute` acts for accounts
 * (such as making a key of one's own), `configure` changes how the daemon works.
 */
export const ROLES = ['read', 'execute', 'configure'] as const
export type Role = (typeof ROLES)[number]

/** The accounts that somebody has to do with. */
export type Scope = 'all' | readonly AccountNumber[]

/** Who asks, once it is known. */
export interface Caller {
  /** For logs: who it is, and nothing that would let anybody in. */
  readonly name: string
  readonly role: Role
  readonly scope: Scope
  /** Of the access token that was shown, if it was one. */
  readonly tokenId?: string
}

export function covers(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

export function sees({ scope }: Pick<Caller, 'scope'>, account: AccountNumber): boolean {
  return scope === 'all' || scope.includes(account)
}

/** The one way in which a scope is written: `all`, or numbers with commas. */
export function scopeText(scope: Scope): string {
  return scope === 'all' ? scope : scope.join(',')
}
