import type { Tier } from '../domain/quota.js'
import type { RunwayRules } from '../pricing/runway.js'
import type { GatewayBounds } from '../pricing/worst-usage.js'

/** How long everything takes at most between a call and the block that it leads to. */
export interface BlockDelays {
  /** From one look at an account to the next, the look itself left out. */
  readonly lookMs: number
  /** From a hold to the gateway's answer that the key is blocked. */
  readonly syncMs: number
  /** For so long proxies go by the key that they have in memory. */
  readonly keyCacheMs: number
  /** A call lasts no longer; its row is written when it has ended. */
  readonly callMs: number
  /** From a batch's sealing to the charge on Flow. */
  readonly attestMs: number
}

export interface BudgetSettings {
  readonly rules: RunwayRules
  readonly gateway: GatewayBounds
  readonly delays: BlockDelays
  readonly tiers: ReadonlyMap<string, Tier>
  /** Of accounts that were given none; undefined: no quota. */
  readonly defaultTier: string | undefined
  /** Models for which clients bring their own provider's key; `*` may end a name. */
  readonly byokModels: readonly string[]
}

/** The spend update of a call that ends as its key is blocked may bring the old key back into memory. */
const CACHES_IN_A_ROW = 2

/** From the end of what is known on, calls may begin for so long before a block that holds everywhere. */
export function exposedMs(
  knownForMs: number,
  { lookMs, syncMs, keyCacheMs }: BlockDelays,
  lookTookMs: number,
): number {
  return knownForMs + lookMs + lookTookMs + syncMs + CACHES_IN_A_ROW * keyCacheMs
}

/** What the reserve has to last for: until the last call before a block is charged on Flow. */
export function reservedMs(
  knownForMs: number,
  { lookMs, syncMs, keyCacheMs, attestMs }: BlockDelays,
  lookTookMs: number,
): number {
  return knownForMs + lookMs + lookTookMs + syncMs + keyCacheMs + attestMs
}
