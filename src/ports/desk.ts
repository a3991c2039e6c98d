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
  /** No vault opens with it or takes it on any more. */
  readonly isRetired: boolean
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
  /** Not closed yet. */
  readonly isOpen: boolean
  readonly isReserved: boolean
  readonly isAutopayOn: boolean
  readonly isPaused: boolean
  readonly state: VaultState
  /** Unix seconds from which it may be ended; null: nobody gave notice, or it is closed. */
  readonly endsAt: number | null
  /** Of its token; comes back when it is closed. */
  readonly storageDeposit: Ufix64Units
}

export const VAULT_STATES = ['open', 'leaving', 'closing', 'closed'] as const
/** leaving: its customer gave notice; closing: its provider did. */
export type VaultState = (typeof VAULT_STATES)[number]

export interface VaultMoney {
  readonly balance: Ufix64Units
  /** What no debt locks. */
  readonly free: Ufix64Units
  readonly charged: Wad
  readonly paid: Wad
  readonly owed: Wad
  readonly writtenOff: Wad
  /** Paid in the billing period of the calendar that it is. */
  readonly spent: Wad
  /** Most that is paid in such a period; null: no limit. */
  readonly cap: Wad | null
  /** Most that is paid from now on; null: no limit. */
  readonly entitled: Wad | null
  /** Unix seconds after which nothing is paid; null: for ever. */
  readonly validUntil: number | null
  readonly withdrawal: {
    readonly amount: Ufix64Units
    readonly maturesAt: number
    readonly lapsesAt: number
  } | null
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
  /** The address of the provider's current meter; undefined: none was set. */
  meter(provider: bigint, signal: AbortSignal): Promise<Hex | undefined>
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
  /** Batches of the current meter up to it change the period no more. Refused far above the newest. */
  readonly afterSeq: bigint
  /** 1 to 256 characters, for the customer. */
  readonly reason: string
}

export interface Approval {
  readonly account: bigint
  /** Unix seconds. */
  readonly periodStart: number
  /** Of the whole period. */
  readonly chargedUpTo: Wad
}

export interface Gift {
  readonly account: bigint
  readonly amount: Ufix64Units
  /** 1 to 256 characters, for the customer. */
  readonly reason: string
  readonly at: TokenPlace | undefined
}

/**
 * Where an account keeps its tokens of one kind. FLOW lies at the same place everywhere, so it needs
 * none; a stablecoin's contract says where its vaults lie.
 */
export interface TokenPlace {
  /** Of the vault, below /storage. */
  readonly storage: string
  /** Of its public receiver, below /public; undefined where nothing is to be received. */
  readonly receiver: string | undefined
}

export interface ProviderDesk extends PublicDesk {
  /** The provider that the key's account is; undefined until it is one. */
  ownId(signal: AbortSignal): Promise<bigint | undefined>
  /** Already a provider: that is a success. */
  setUp(signal: AbortSignal): Promise<Done>
  /**
   * Names that are in the table already keep their id.
   *
   * @param owner the address of a provider who shared this with the key's account; its own if not given
   */
  registerModels(names: readonly string[], signal: AbortSignal, owner?: string): Promise<Done>
  /** Offers another account what registering models needs, and nothing more. */
  shareModels(delegate: string, signal: AbortSignal): Promise<Done>
  /** Takes that back from everybody who has it. */
  revokeModels(signal: AbortSignal): Promise<Done>
  /** Takes what the provider of that address offered. */
  claimModels(owner: string, signal: AbortSignal): Promise<Done>
  /** A plan of the same hash that is published already, and not retired, is a success. */
  publish(
    terms: PlanTerms,
    hash: Hash,
    signal: AbortSignal,
  ): Promise<Done & { readonly id: bigint }>
  /** Offers a plan no longer: vaults on it keep it. One that is retired already is a success. */
  retirePlan(id: bigint, signal: AbortSignal): Promise<Done>
  /** @param meter its address on Flare, 20 bytes. The one before is revoked at once. */
  setMeter(meter: Hex, signal: AbortSignal): Promise<Done>
  reserve(account: bigint, holder: string, signal: AbortSignal): Promise<Done>
  /** Lowers the total of a period. That it is so already is a success. */
  correct(correction: Correction, signal: AbortSignal): Promise<Done>
  /** Lets entries apply that charge a period up to a sum, however much at once. */
  approve(approval: Approval, signal: AbortSignal): Promise<Done>
  /** A greater charge of one entry is held until it is approved; null: none is. */
  setMaxCharge(limit: Wad | null, signal: AbortSignal): Promise<Done>
  /** Tokens of the provider's own as a gift, with a reason. Each call gives it once more. */
  credit(gift: Gift, signal: AbortSignal): Promise<Done>
  /** Gives a customer notice. */
  close(account: bigint, signal: AbortSignal): Promise<Done>
  /** Tokens that vaults of a currency have paid. Each call takes it once more. */
  collect(
    currency: string,
    amount: Ufix64Units,
    signal: AbortSignal,
    at?: TokenPlace,
  ): Promise<Done>
}

export interface VaultOrder {
  readonly provider: bigint
  readonly plan: bigint
  /** One that the provider reserved; undefined: the next free one. */
  readonly account: bigint | undefined
  readonly deposit: Ufix64Units
  /** Names the vault's token; undefined: FLOW. */
  readonly at: TokenPlace | undefined
}

export interface DepositOrder {
  readonly provider: bigint
  readonly account: bigint
  readonly amount: Ufix64Units
  /** Undefined: FLOW. */
  readonly at: TokenPlace | undefined
}

/** What a customer changes about a vault. Limits are in the plan's currency; null: no limit. */
export type VaultChange =
  | { readonly kind: 'autopay'; readonly isOn: boolean }
  | { readonly kind: 'pause'; readonly isPaused: boolean }
  /** In a billing period of the calendar. */
  | { readonly kind: 'cap'; readonly limit: Wad | null }
  /** From now on; `validUntil` in unix seconds, null: for ever. */
  | {
      readonly kind: 'entitlement'
      readonly limit: Wad | null
      readonly validUntil: number | null
    }
  /** From the next period on. */
  | { readonly kind: 'plan'; readonly plan: bigint }
  /** Of the vault's token, to be taken out after the plan's notice. */
  | { readonly kind: 'request_withdrawal'; readonly amount: Ufix64Units }
  | { readonly kind: 'execute_withdrawal'; readonly at?: TokenPlace }
  | { readonly kind: 'leave' }
  /** Takes that back, while the vault is not ended and the provider has not given notice too. */
  | { readonly kind: 'stay' }
  /** The account that gets what is left when the vault is closed. */
  | { readonly kind: 'refund_receiver'; readonly receiver: string; readonly at?: TokenPlace }
  | { readonly kind: 'take_refund'; readonly at?: TokenPlace }
  /** These two are anybody's: to close a vault whose notice is over, and to pay back the rest. */
  | { readonly kind: 'end' }
  | { readonly kind: 'refund' }

export interface CustomerDesk extends PublicDesk {
  readonly address: string
  /** Each call opens another vault. */
  open(order: VaultOrder, signal: AbortSignal): Promise<Done & { readonly account: bigint }>
  /** Each call does it once more, or is refused where that is not possible. */
  change(provider: bigint, account: bigint, change: VaultChange, signal: AbortSignal): Promise<Done>
  /** Tokens into anybody's vault. Each call puts it in once more. */
  deposit(order: DepositOrder, signal: AbortSignal): Promise<Done>
}

/** Keys of the account that the daemon sends with. */
export interface LaneKeys {
  readonly address: string
  /** All that the daemon can use, ascending. */
  readonly indexes: readonly number[]
  readonly added: number
}
