import {
  type Hash,
  type Hex,
  join,
  keccak,
  toHex,
  u8,
  u16,
  u32,
  u64,
  utf8,
} from '../domain/bytes.js'
import { PERIOD_KINDS } from '../domain/period.js'
import type { PlanTerms, Rate, Tier } from './plan.js'

/** The order is the contract's numbering of them. */
const MODES = ['graduated', 'volume'] as const
/** How the canonical form writes that a tier has no end. */
const NO_END = 2n ** 64n - 1n

/** What a published plan is known by: keccak of its canonical form (cadence/README.md). */
export function planHash(terms: PlanTerms): Hash {
  const { currency, mode, periodKind, minimum, fee, noticeS, tiers, rates } = terms
  const ascending = [...rates].toSorted(([a], [b]) => a - b)
  return keccak(
    utf8('flowmeter.plan.v1\0'),
    join(u8(utf8(currency).length), toHex(utf8(currency))),
    join(u8(MODES.indexOf(mode)), u8(PERIOD_KINDS.indexOf(periodKind))),
    join(u128(minimum), u128(fee), u32(noticeS)),
    join(u8(tiers.length), ...tiers.map(tierBytes)),
    join(u16(ascending.length), ...ascending.map(rateBytes)),
  )
}

function tierBytes({ upTo, pricePerMillion, discountBps }: Tier): Hex {
  return join(u64(upTo ?? NO_END), u64(pricePerMillion), u16(discountBps))
}

function rateBytes([id, rate]: readonly [number, Rate]): Hex {
  const weights = [rate.prompt, rate.cachedPrompt, rate.completion, rate.request]
  return join(u16(id), ...weights.map(u32))
}

function u128(value: bigint): Hex {
  return join(u64(value >> 64n), u64(value & (2n ** 64n - 1n)))
}
