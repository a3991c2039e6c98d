import type { Kysely, Selectable } from 'kysely'
import { type Role, type Scope, scopeText } from '../domain/access.js'
import type { AccessToken, AccessTokens } from '../ports/access-tokens.js'
import type { Clock } from '../ports/clock.js'
import { accountOf } from './columns.js'
import type { Tables } from './tables.js'

/** Who may ask over HTTP: never a token itself. */
export interface AccessTokensTable {
  token_id: string
  label: string
  role: string
  /** `all`, or account numbers with commas. */
  scope: string
  token_hash: string
  created_at_ms: bigint
  expires_at_ms: bigint | null
  revoked_at_ms: bigint | null
  last_used_at_ms: bigint | null
}

export function sqlAccessTokens(db: Kysely<Tables>, clock: Clock): AccessTokens {
  return {
    async add({ id, label, role, scope, hash, expiresAtMs }) {
      await db
        .insertInto('access_tokens')
        .values({
          ...{ token_id: id, label, role, scope: scopeText(scope), token_hash: hash },
          created_at_ms: BigInt(clock.now()),
          expires_at_ms: expiresAtMs === undefined ? null : BigInt(expiresAtMs),
          revoked_at_ms: null,
          last_used_at_ms: null,
        })
        .execute()
    },

    async find(id) {
      const row = await db
        .selectFrom('access_tokens')
        .selectAll()
        .where('token_id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : accessToken(row)
    },

    async list() {
      const rows = await db
        .selectFrom('access_tokens')
        .selectAll()
        .orderBy('created_at_ms')
        .orderBy('token_id')
        .execute()
      return rows.map(accessToken)
    },

    async revoke(id) {
      const { numUpdatedRows } = await db
        .updateTable('access_tokens')
        .set({ revoked_at_ms: BigInt(clock.now()) })
        .where('token_id', '=', id)
        .where('revoked_at_ms', 'is', null)
        .executeTakeFirstOrThrow()
      return numUpdatedRows > 0n
    },

    async noteUse(id) {
      await db
        .updateTable('access_tokens')
        .set({ last_used_at_ms: BigInt(clock.now()) })
        .where('token_id', '=', id)
        .execute()
    },
  }
}

function accessToken(row: Selectable<AccessTokensTable>): AccessToken {
  return {
    id: row.token_id,
    label: row.label,
    role: row.role as Role,
    scope: scopeOf(row.scope),
    hash: row.token_hash,
    createdAtMs: Number(row.created_at_ms),
    expiresAtMs: instant(row.expires_at_ms),
    revokedAtMs: instant(row.revoked_at_ms),
    lastUsedAtMs: instant(row.last_used_at_ms),
  }
}

function scopeOf(text: string): Scope {
  return text === 'all' ? 'all' : text.split(',').map(accountOf)
}

function instant(value: bigint | null): number | undefined {
  return value === null ? undefined : Number(value)
}
