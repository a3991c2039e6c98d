import type { Kysely } from 'kysely'
import type { Hash, Hex } from '../domain/bytes.js'
import type { Clock } from '../ports/clock.js'
import type { Sightings } from '../ports/sightings.js'
import type { Tables } from './tables.js'

const CURSOR = 'cursor/policies'

export function sqlSightings(db: Kysely<Tables>, clock: Clock): Sightings {
  const now = (): bigint => BigInt(clock.now())
  return {
    async readUntil() {
      const row = await db
        .selectFrom('watch')
        .select('value')
        .where('name', '=', CURSOR)
        .executeTakeFirst()
      return row === undefined ? undefined : Number(row.value)
    },

    async savePage({ policies, votes, untilBlock }) {
      const seen_at_ms = now()
      for (const { rewardEpoch, policy } of policies) {
        await db
          .insertInto('seen_policies')
          .values({ reward_epoch: BigInt(rewardEpoch), policy, seen_at_ms })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
      }
      for (const { rewardEpoch, policyHash, v, r, s } of votes) {
        const key = { reward_epoch: BigInt(rewardEpoch), policy_hash: policyHash, r, s }
        await db
          .insertInto('seen_policy_votes')
          .values({ ...key, v: BigInt(v), seen_at_ms })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
      }
      // Last: dying before it only means to read the same blocks again.
      const value = String(untilBlock)
      await db
        .insertInto('watch')
        .values({ name: CURSOR, value, at_ms: seen_at_ms })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value, at_ms: seen_at_ms }))
        .execute()
    },

    async policies(rewardEpoch) {
      const rows = await db
        .selectFrom('seen_policies')
        .select('policy')
        .where('reward_epoch', '=', BigInt(rewardEpoch))
        .orderBy('seen_at_ms')
        .execute()
      return rows.map(({ policy }) => policy as Hex)
    },

    async votes(rewardEpoch) {
      const rows = await db
        .selectFrom('seen_policy_votes')
        .select(['policy_hash', 'v', 'r', 's'])
        .where('reward_epoch', '=', BigInt(rewardEpoch))
        .execute()
      return rows.map(({ policy_hash, v, r, s }) => ({
        rewardEpoch,
        policyHash: policy_hash as Hash,
        v: Number(v),
        r: r as Hex,
        s: s as Hex,
      }))
    },

    async newestPolicy() {
      const row = await db
        .selectFrom('seen_policies')
        .select('reward_epoch')
        .orderBy('reward_epoch', 'desc')
        .limit(1)
        .executeTakeFirst()
      return row === undefined ? undefined : Number(row.reward_epoch)
    },

    async saveRelay(address) {
      await db
        .insertInto('seen_relays')
        .values({ address, seen_at_ms: now() })
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    },

    async relays() {
      const rows = await db
        .selectFrom('seen_relays')
        .select('address')
        .orderBy('seen_at_ms', 'desc')
        .execute()
      return rows.map(({ address }) => address as Hex)
    },
  }
}
