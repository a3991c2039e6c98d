import type { Role, Scope } from '../domain/access.js'

/** A token as the store knows it: never the token itself. */
export interface AccessToken {
  /** Public: it names the token in logs and commands. */
  readonly id: string
  readonly label: string
  readonly role: Role
  readonly scope: Scope
  /** SHA-256 of the whole token, hexadecimal. */
  readonly hash: string
  readonly createdAtMs: number
  /** From here on it is worth nothing; undefined for never. */
  readonly expiresAtMs: number | undefined
  readonly revokedAtMs: number | undefined
  /** Within a minute. */
  readonly lastUsedAtMs: number | undefined
}

/** Tokens that let callers in. Rows are added, and revoked once; none is ever taken out. */
export interface AccessTokens {
  add(token: Omit<AccessToken, 'createdAtMs' | 'revokedAtMs' | 'lastUsedAtMs'>): Promise<void>
  find(id: string): Promise<AccessToken | undefined>
  /** Oldest first. */
  list(): Promise<readonly AccessToken[]>
  /** False where there is none, or it was revoked before. */
  revoke(id: string): Promise<boolean>
  noteUse(id: string): Promise<void>
}
