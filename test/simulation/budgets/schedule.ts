import { Random } from '../../../devnet/litellm/random.js'
import { parseWad, wad } from '../../../src/domain/money.js'
import type { Plan } from '../../../src/pricing/plan.js'
import { FLAT_PLAN } from '../../support/budget-world.js'

/** What happens at one tick, besides calls and the daemon's own work. */
export type Happening =
  | {
      readonly kind: 'pace'
      readonly account: number
      readonly perMille: number
      readonly isFull: boolean
    }
  | { readonly kind: 'deposit'; readonly account: number; readonly cents: number }
  | { readonly kind: 'operator'; readonly account: number; readonly how: OperatorBlock }
  | {
      readonly kind: 'keys'
      readonly fault: 'unreachable' | 'lost' | 'broken'
      readonly ticks: number
    }
  | { readonly kind: 'flow' | 'source' | 'attribution' | 'price'; readonly ticks: number }
  /** Dies at a call of the step that comes next, or between two. */
  | { readonly kind: 'crash'; readonly at: number; readonly downTicks: number }
  /** Nobody calls for so long. */
  | { readonly kind: 'pause'; readonly minutes: number }

export type OperatorBlock = 'hold' | 'release' | 'block by hand' | 'unblock by hand'

export interface AccountPlan {
  readonly isOnCredits: boolean
  readonly keys: number
  readonly cents: number
  readonly tier: string | undefined
  /** Dollars a day. */
  readonly budgetCents: number | undefined
}

/** One story, made of its seed alone. */
export interface Schedule {
  readonly seed: number
  readonly startMs: number
  readonly proxies: number
  /** Of every key, tokens a minute. */
  readonly tpmLimit: number | null
  readonly plan: Plan
  readonly accounts: readonly AccountPlan[]
  readonly ticks: number
  readonly happenings: ReadonlyMap<number, readonly Happening[]>
}

export const TICK_MS = 10_000
const STARTS = [
  // An evening, the end of a month, of an hour, of a day.
  ...['2026-09-24T20:00:00Z', '2026-09-30T23:52:00Z', '2026-09-24T20:55:00Z'],
  '2026-09-24T23:54:00Z',
].map((text) => Date.parse(text))

const dollars = (cents: number) => parseWad((cents / 100).toFixed(2))

/** Prices that rise, a fee for a period with usage, and a price by the volume. */
const PLANS: readonly Plan[] = [
  FLAT_PLAN,
  {
    ...FLAT_PLAN,
    tiers: [
      { upTo: 60_000n, pricePerMillion: 8_000_000n, discountBps: 0n },
      { upTo: null, pricePerMillion: 20_000_000n, discountBps: 500n },
    ],
    fee: dollars(10),
  },
  {
    ...FLAT_PLAN,
    mode: 'volume',
    tiers: [
      { upTo: 40_000n, pricePerMillion: 15_000_000n, discountBps: 0n },
      { upTo: null, pricePerMillion: 9_000_000n, discountBps: 0n },
    ],
    minimum: dollars(5),
    rates: new Map([
      [0, { prompt: 10_000n, cachedPrompt: 5_000n, completion: 20_000n, request: 1_000_000n }],
    ]),
  },
  { ...FLAT_PLAN, periodKind: 'day', fee: wad(dollars(3) + 7n) },
]

export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed)
  const isAttack = random.next() < 0.4
  const accounts = isAttack
    ? [{ ...accountPlan(random), ...BARE, cents: random.whole(3, 9) }]
    : Array.from({ length: random.whole(1, 3) }, () => accountPlan(random))
  const ticks = isAttack ? random.whole(30, 45) : random.whole(50, 100)
  const happenings = new Map<number, Happening[]>()
  const add = (tick: number, happening: Happening) =>
    happenings.set(tick, [...(happenings.get(tick) ?? []), happening])
  if (isAttack) add(random.whole(2, 12), ATTACK)
  else for (let account = 0; account < accounts.length; account += 1) add(0, pace(random, account))
  const count = isAttack ? random.whole(0, 1) : random.whole(4, 14)
  for (let i = 0; i < count; i += 1) {
    add(random.whole(1, ticks - 1), anything(random, accounts.length))
  }
  return {
    ...{ seed, ticks, accounts, happenings },
    startMs: random.pick(STARTS) + random.whole(0, 59_999),
    proxies: random.whole(1, 3),
    tpmLimit: random.pick([null, null, 6_000]),
    plan: random.pick(PLANS),
  }
}

/** Somebody who has next to nothing, and uses all that the gateway lets through, at once. */
const ATTACK: Happening = { kind: 'pace', account: 0, perMille: 1_000, isFull: true }
const BARE = { tier: undefined, budgetCents: undefined, keys: 1 } as const

function accountPlan(random: Random): AccountPlan {
  return {
    isOnCredits: random.next() < 0.3,
    keys: random.whole(1, 2),
    cents: random.pick([0, 15, 40, 90, 200, 500]) + random.whole(0, 9),
    tier: random.next() < 0.25 ? random.pick(['free', 'pro']) : undefined,
    budgetCents: random.next() < 0.25 ? random.pick([30, 80, 200]) : undefined,
  }
}

function pace(random: Random, account: number): Happening {
  const perMille = random.pick([0, 20, 100, 300, 1_000])
  return { kind: 'pace', account, perMille, isFull: random.next() < 0.4 }
}

function anything(random: Random, accounts: number): Happening {
  const account = random.whole(0, accounts - 1)
  const ticks = random.pick([1, 2, 4, 10, 25])
  const dice = random.next()
  if (dice < 0.22) return pace(random, account)
  if (dice < 0.42) return { kind: 'deposit', account, cents: random.pick([1, 10, 60, 250]) }
  if (dice < 0.58) {
    const how = random.pick(['hold', 'release', 'block by hand', 'unblock by hand'] as const)
    return { kind: 'operator', account, how }
  }
  if (dice < 0.7) {
    const fault = random.pick(['unreachable', 'lost', 'broken'] as const)
    return { kind: 'keys', fault, ticks }
  }
  if (dice < 0.84) {
    return { kind: random.pick(['flow', 'source', 'attribution', 'price'] as const), ticks }
  }
  if (dice < 0.94) {
    return { kind: 'crash', at: random.whole(0, 40), downTicks: random.pick([0, 1, 3, 12]) }
  }
  return { kind: 'pause', minutes: random.pick([5, 30, 70, 60 * 26]) }
}
