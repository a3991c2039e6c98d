import type { Hash, Hex } from '../domain/bytes.js'
import type { Ufix64Units, Wad } from '../domain/money.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import type { PlanTerms } from '../pricing/plan.js'
import type { AppliedRecord } from './settler.js'

/**
 * What people do on the settlement chain with keys of their own: nothing here is the daemon's.
 *
 * All of it throws RetryableError where the chain cannot be asked, TerminalError
 * (`transaction_refused`) where it refuses, ConfigError where the key does not fit the account.
 */

/** What became of an errand. Without an id nothing was sent, since it was so already. */
export interface Done {
  readonly txId?: string
}

export interface PublishedPlan {
  readonly id: bigint
  readonly provider: bigint
  /** Of the canonical form: see `planHash`. */
  readonly hash: Hash
  readonly terms: PlanTerms
}

export interface ProviderCard {
  readonly id: bigint
  readonly vaults: number
  /** The next vault gets it, unless it is reserved. */
  readonly nextNumber: bigint
  /** The first has id 1. */
  readonly models: readonly string[]
  readonly plans: readonly bigint[]
}

/** A vault as its customer knows it. */
export interface VaultCard {
  readonly account: bigint
  readonly customer: string
  readonly token: string
  readonly currency: string
  readonly period: string
  /** The plan of each period, earliest first; starts in seconds. */
  readonly plans: readonly { readonly fromPeriodStart: number; readonly planId: bigint }[]
  readonly isOpen: boolean
  readonly isReserved: boolean
  readonly isAutopayOn: boolean
  readonly isPaused: boolean
}

export interface VaultMoney {
  readonly balance: Ufix64Units
  /** What no debt locks. */
  readonly free: Ufix64Units
  readonly charged: Wad
  readonly paid: Wad
  readonly owed: Wad
  readonly writtenOff: Wad
}

export interface Quote {
  /** 1e-4 tokens. */
  readonly billable: bigint
  readonly price: Wad
}

/** Reads what everybody may see. Sealed state, without any key. */
export interface PublicDesk {
  /** Undefined: there is none with this id. */
  plan(id: bigint, signal: AbortSignal): Promise<PublishedPlan | undefined>
  models(provider: bigint, signal: AbortSignal): Promise<readonly string[]>
  provider(id: bigint, signal: AbortSignal): Promise<ProviderCard | undefined>
  /** What the contract itself says a plan charges; undefined: no entry could say these rows. */
  quote(plan: bigint, rows: readonly UsageTotal[], signal: AbortSignal): Promise<Quote | undefined>
  /** In the order of their opening. */
  vaults(provider: bigint, signal: AbortSignal): Promise<readonly VaultCard[]>
  /** Of batches of the provider's current meter, one each; undefined: not held. */
  roots(
    provider: bigint,
    seqs: readonly bigint[],
    signal: AbortSignal,
  ): Promise<readonly (Hash | undefined)[]>
  /** What was applied of a (vault, period); all zero: nothing, or there is no such vault. */
  applied(provider: bigint, key: EntryKey, signal: AbortSignal): Promise<AppliedRecord>
  /** Undefined: there is no such vault. */
  money(provider: bigint, account: bigint, signal: AbortSignal): Promise<VaultMoney | undefined>
}

export interface Correction {
  readonly account: bigint
  /** Unix seconds. */
  readonly periodStart: number
  /** The total that is right, in 1e-4 tokens; 0 where nothing was applied of the period. */
  readonly billable: bigint
  /** Batches of the current meter up to it change the period no more. */
  readonly afterSeq: bigint
  /** 1 to 256 characters, for the customer. */
  readonly reason: string
}

export interface ProviderDesk extends PublicDesk {
  /** The provider that the key's account is; undefined until it is one. */
  ownId(signal: AbortSignal): Promise<bigint | undefined>
  /** Already a provider: that is a success. */
  setUp(signal: AbortSignal): Promise<Done>
  /** Names that are in the table already keep their id. */
  registerModels(names: readonly string[], signal: AbortSignal): Promise<Done>
  /** A plan of the same hash that is published already is a success. */
  publish(
    terms: PlanTerms,
    hash: Hash,
    signal: AbortSignal,
  ): Promise<Done & { readonly id: bigint }>
  /** @param meter its address on Flare, 20 bytes. The one before is revoked at once. */
  setMeter(meter: Hex, signal: AbortSignal): Promise<Done>
  reserve(account: bigint, holder: string, signal: AbortSignal): Promise<Done>
  /** Lowers the total of a period. That it is so already is a success. */
  correct(correction: Correction, signal: AbortSignal): Promise<Done>
  /** FLOW that vaults of a currency have paid. Each call takes it once more. */
  collect(currency: string, amount: Ufix64Units, signal: AbortSignal): Promise<Done>
}

export interface VaultOrder {
  readonly provider: bigint
  readonly plan: bigint
  /** One that the provider reserved; undefined: the next free one. */
  readonly account: bigint | undefined
  /** FLOW. */
  readonly deposit: Ufix64Units
}

export interface CustomerDesk extends PublicDesk {
  readonly address: string
  /** Each call opens another vault. */
  open(order: VaultOrder, signal: AbortSignal): Promise<Done & { readonly account: bigint }>
  /** FLOW into anybody's vault. Each call puts it in once more. */
  deposit(
    provider: bigint,
    account: bigint,
    amount: Ufix64Units,
    signal: AbortSignal,
  ): Promise<Done>
}

/** Keys of the account that the daemon sends with. */
export interface LaneKeys {
  readonly address: string
  /** All that the daemon can use, ascending. */
  readonly indexes: readonly number[]
  readonly added: number
}
