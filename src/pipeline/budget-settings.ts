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

/** As `budgets` of flowmeter.config.json says it. */
export interface BudgetTermsConfig {
  readonly runway: RunwayRules & { readonly lookEveryMs: number; readonly attestMs: number }
  readonly calls: {
    readonly proxies: number
    readonly tokens: number
    readonly atOnce: number
    readonly lastMs: number
    readonly keyCacheMs: number
  }
  readonly tiers: Readonly<Record<string, Tier>>
  readonly defaultTier?: string | undefined
  readonly byokModels: readonly string[]
}

/** Besides the wait of an idle worker: to block one key, asked again once. */
const SYNC_MS = 5_000

/** @param workerIntervalMs the longest wait of an idle worker */
export function budgetSettings(
  { runway, calls, tiers, defaultTier, byokModels }: BudgetTermsConfig,
  workerIntervalMs: number,
): BudgetSettings {
  return {
    rules: runway,
    gateway: {
      proxies: BigInt(calls.proxies),
      callTokens: BigInt(calls.tokens),
      callsAtOnce: BigInt(calls.atOnce),
    },
    delays: {
      lookMs: runway.lookEveryMs,
      syncMs: workerIntervalMs + SYNC_MS,
      keyCacheMs: calls.keyCacheMs,
      callMs: calls.lastMs,
      attestMs: runway.attestMs,
    },
    tiers: new Map(Object.entries(tiers)),
    defaultTier,
    byokModels,
  }
}
