import type { Kysely } from 'kysely'
import { type Hex, isHex } from '../domain/bytes.js'
import { assert } from '../domain/errors.js'
import type { Era, Meters } from '../ports/meters.js'
import { inTransaction } from './in-transaction.js'
import { decode, encode } from './json.js'
import { kept } from './kept.js'
import type { Tables } from './tables.js'

const CURRENT = 'meter'
const ERA = 'meter/'
/** The next text after all that begin with `meter/`. */
const AFTER_ERAS = 'meter0'

const meterRows = kept((db) =>
  db.selectFrom('identity').selectAll().where('name', '>=', CURRENT).where('name', '<', AFTER_ERAS),
)

/** In the rows of `identity`: what a store is bound to is its current meter, and all that it had. */
export function sqlMeters(db: Kysely<Tables>): Meters {
  const all = async (): Promise<[Era, ...Era[]]> => {
    const rows = await meterRows(db)
    const eras = rows
      .flatMap(({ name, value }) => (name === CURRENT ? [] : [decode<Era>(value)]))
      .sort((a, b) => a.era - b.era)
    const [first, ...others] = eras
    if (first !== undefined) return [first, ...others]
    const meter = hexOf(rows.find(({ name }) => name === CURRENT)?.value)
    return [{ era: 0, meter, meterEpoch: 0 }]
  }
  return {
    all,
    current: async () => {
      const eras = await all()
      return eras.at(-1) ?? eras[0]
    },
    follow: (meter, meterEpoch) =>
      inTransaction(db, async (tx) => {
        const eras = await sqlMeters(tx).all()
        const next: Era = { era: eras.length, meter, meterEpoch }
        const rows = [
          ...[...eras, next].map((era) => ({ name: `${ERA}${era.era}`, value: encode(era) })),
          { name: CURRENT, value: meter },
        ]
        for (const { name, value } of rows) {
          await tx
            .insertInto('identity')
            .values({ name, value })
            .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
            .execute()
        }
      }),
  }
}

function hexOf(text: string | undefined): Hex | undefined {
  if (text === undefined) return undefined
  assert(isHex(text), 'the store holds addresses as lower-case hexadecimal')
  return text
}
