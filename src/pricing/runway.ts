import { type Wad, wad } from '../domain/money.js'

/** What was used in a stretch of time, priced. */
export interface Burn {
  readonly cost: Wad
  readonly windowMs: number
}

export interface RunwayFacts {
  /** What could be paid now: the balance at its value less what is owed. May be below 0. */
  readonly funds: Wad
  /** The price of usage that is not charged yet. */
  readonly unsettled: Wad
  /** Of some stretches of time that ended together: the fastest counts. */
  readonly burns: readonly Burn[]
  /** From a call to the block that it leads to, where everything takes as long as it may. */
  readonly delayMs: number
  /** The price of the most that can be used until that block holds; undefined: nothing bounds it. */
  readonly worst: Wad | undefined
}

export interface RunwayRules {
  /** The least that is kept back, however slow the burn. */
  readonly reserveMin: Wad
  readonly warnMs: number
  readonly softMs: number
}

/** `dry`: at the reserve or below. `soft`, `warn`: the time left is below that limit. */
export const RUNWAY_LEVELS = ['ok', 'warn', 'soft', 'dry'] as const
export type RunwayLevel = (typeof RUNWAY_LEVELS)[number]

/** How long funds last. */
export interface Runway {
  /** Funds less what is unsettled. May be below 0. */
  readonly available: Wad
  readonly reserve: Wad
  /** The fastest. A quiet account has one of no cost. */
  readonly burn: Burn
  /** Until the reserve is reached at that pace; undefined: for ever. */
  readonly timeLeftMs: number | undefined
  readonly level: RunwayLevel
  /** What may be used in the worst case and never be paid; undefined: nothing bounds it. */
  readonly exposure: Wad | undefined
}

const HOUR_MS = 3_600_000n

/**
 * Pure, in integers. The one rounding is here: the reserve is rounded up, so that a block comes
 * rather too early than too late.
 */
export function runwayOf(
  { funds, unsettled, burns, delayMs, worst }: RunwayFacts,
  { reserveMin, warnMs, softMs }: RunwayRules,
): Runway {
  const available = wad(funds - unsettled)
  const burn = fastest(burns)
  const window = BigInt(burn.windowMs)
  const burnt = (burn.cost * BigInt(Math.ceil(delayMs)) + window - 1n) / window
  const reserve = wad(burnt > reserveMin ? burnt : reserveMin)
  const isDry = available <= reserve
  const left = available - reserve
  const isQuiet = burn.cost === 0n
  const timeLeftMs = isDry ? 0 : isQuiet ? undefined : Number((left * window) / burn.cost)
  return {
    available,
    reserve,
    burn,
    timeLeftMs,
    level: isDry ? 'dry' : levelOf(timeLeftMs, { warnMs, softMs }),
    exposure: worst === undefined ? undefined : wad(worst > available ? worst - available : 0n),
  }
}

/** For people, rounded down. */
export function burnPerHour({ cost, windowMs }: Burn): Wad {
  return wad((cost * HOUR_MS) / BigInt(windowMs))
}

function levelOf(
  timeLeftMs: number | undefined,
  { warnMs, softMs }: Pick<RunwayRules, 'warnMs' | 'softMs'>,
): RunwayLevel {
  if (timeLeftMs === undefined || timeLeftMs >= Math.max(warnMs, softMs)) return 'ok'
  return timeLeftMs < softMs ? 'soft' : 'warn'
}

/** By cost for a time, compared without dividing. */
export function fastest(burns: readonly Burn[]): Burn {
  return burns.reduce((most, one) =>
    one.cost * BigInt(most.windowMs) > most.cost * BigInt(one.windowMs) ? one : most,
  )
}
