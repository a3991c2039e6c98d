import type { Kysely } from 'kysely'
import type { Clock } from '../ports/clock.js'
import type { PolicyWatch, TokenPrice, WalletBalance, Watch } from '../ports/sightings.js'
import { decode, encode } from './json.js'
import type { Tables } from './tables.js'

const POLICIES = 'policies'
const PRICES = 'prices'
const WALLET = 'wallet/'
/** A balance every so often is enough for days of runway. */
const BALANCE_EVERY_MS = 10 * 60_000
/** More than the week that is looked at. */
const BALANCES_KEPT_MS = 15 * 24 * 3_600_000

export function sqlWatch(db: Kysely<Tables>, clock: Clock): Watch {
  const put = async (name: string, document: unknown): Promise<void> => {
    const fields = { value: encode(document), at_ms: BigInt(clock.now()) }
    await db
      .insertInto('watch')
      .values({ name, ...fields })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(fields))
      .execute()
  }
  return {
    savePolicies: (seen) => put(POLICIES, seen),

    async policies() {
      const row = await db
        .selectFrom('watch')
        .selectAll()
        .where('name', '=', POLICIES)
        .executeTakeFirst()
      if (row === undefined) return undefined
      return { ...decode<PolicyWatch>(row.value), atMs: Number(row.at_ms) }
    },

    savePrices: (seen) => put(PRICES, seen),

    async prices() {
      const row = await db
        .selectFrom('watch')
        .select('value')
        .where('name', '=', PRICES)
        .executeTakeFirst()
      return row === undefined ? [] : decode<readonly TokenPrice[]>(row.value)
    },

    async saveWallet(seen) {
      await put(`${WALLET}${seen.wallet}`, seen)
      await keepBalance(db, seen, clock.now())
    },

    async wallets() {
      const rows = await db
        .selectFrom('watch')
        .selectAll()
        .where('name', 'like', `${WALLET}%`)
        .orderBy('name')
        .execute()
      return rows.map(({ value, at_ms }) => ({
        ...decode<WalletBalance>(value),
        atMs: Number(at_ms),
      }))
    },

    async balances(wallet, sinceMs) {
      const rows = await db
        .selectFrom('wallet_balances')
        .select(['balance', 'at_ms'])
        .where('wallet', '=', wallet)
        .where('at_ms', '>=', BigInt(sinceMs))
        .orderBy('at_ms')
        .execute()
      return rows.map(({ balance, at_ms }) => ({ balance: BigInt(balance), atMs: Number(at_ms) }))
    },
  }
}

async function keepBalance(
  db: Kysely<Tables>,
  { wallet, balance }: WalletBalance,
  nowMs: number,
): Promise<void> {
  const newest = await db
    .selectFrom('wallet_balances')
    .select('at_ms')
    .where('wallet', '=', wallet)
    .orderBy('at_ms', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (newest !== undefined && Number(newest.at_ms) > nowMs - BALANCE_EVERY_MS) return
  await db
    .insertInto('wallet_balances')
    .values({ wallet, at_ms: BigInt(nowMs), balance: balance.toString() })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await db
    .deleteFrom('wallet_balances')
    .where('at_ms', '<', BigInt(nowMs - BALANCES_KEPT_MS))
    .execute()
}
