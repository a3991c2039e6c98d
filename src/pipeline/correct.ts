import type { AccountNumber } from '../domain/ids.js'
import { type Wad, wad } from '../domain/money.js'
import { periodAt } from '../domain/period.js'
import type { EntryKey, UsageTotal } from '../domain/usage-total.js'
import { payerFieldOf, whyUnmapped } from '../mapping/index.js'
import type { SealedUsage } from '../ports/sealed-usage.js'
import type { Stores } from '../ports/stores.js'
import { type AttributeSettings, mapPayers } from './attribute.js'
import { changeRows, Estimates, tokensOf } from './estimate.js'
import { nameOf } from './restate.js'

type CorrectStores = Pick<
  Stores,
  'records' | 'totals' | 'books' | 'directory' | 'directories' | 'payers' | 'sealedUsages'
>

/** One total of Flow that another mapping would have made another. */
export interface TotalChange extends EntryKey {
  /** A total falls only by a recorded correction; a later batch lets one rise. */
  readonly direction: 'falls' | 'rises'
  readonly tokensBefore: bigint
  readonly tokensAfter: bigint
  /** Absent while the plan of the vault's period is not known. */
  readonly money?: {
    readonly planId: string
    readonly currency: string
    readonly before: Wad
    readonly after: Wad
  }
}

/** Sealed usage whose payer is somebody else's today. */
export interface Move {
  readonly source: string
  readonly payer: string
  readonly from: EntryKey
  /** Absent where it would have no vault today, and then nothing is proposed. */
  readonly to?: EntryKey
  readonly reason?: string
  readonly records: bigint
  readonly tokens: bigint
}

export interface CorrectionPreview {
  /** Payers of sealed usage that were looked at. */
  readonly payers: number
  readonly moves: readonly Move[]
  readonly changes: readonly TotalChange[]
}

/**
 * What today's mapping would make of usage that is in batches. Changes nothing: what is sealed is
 * changed by a correction, which is recorded and which the provider signs for.
 */
export async function previewCorrection(
  stores: CorrectStores,
  settings: AttributeSettings,
): Promise<CorrectionPreview> {
  const estimates = await Estimates.read(stores)
  const shifted = new Map<string, { key: EntryKey; out: UsageTotal[]; in: UsageTotal[] }>()
  const moves = new Map<string, Move>()
  const payers = new Set<string>()
  const groupOf = (key: EntryKey) => {
    const group = shifted.get(nameOf(key)) ?? { key, out: [], in: [] }
    shifted.set(nameOf(key), group)
    return group
  }
  for await (const { usage, account, reason } of remapped(stores, settings)) {
    payers.add(`${usage.source}\n${usage.payer}`)
    if (account === usage.account) continue
    const from = { accountNumber: usage.account, periodStart: usage.periodStart }
    const to = account === undefined ? undefined : targetOf(usage, account, estimates)
    const why = account === undefined ? reason : whyNot(account, to, estimates)
    addMove(moves, usage, from, why === undefined ? to : undefined, why)
    if (to === undefined || why !== undefined) continue
    groupOf(from).out.push(usage)
    groupOf(to).in.push(usage)
  }
  const changes: TotalChange[] = []
  for (const { key, out, in: added } of shifted.values()) {
    changes.push(await changeOf(key, out, added, stores, estimates))
  }
  return {
    payers: payers.size,
    moves: [...moves.values()],
    changes: changes.sort((a, b) => Number(a.accountNumber - b.accountNumber)),
  }
}

/** Sealed usage with the account that its payer has today. */
async function* remapped(stores: CorrectStores, settings: AttributeSettings) {
  const { payerField, sources = {} } = settings
  for (const { name } of await stores.records.sources()) {
    const field = payerFieldOf({ payerField, sources }, name)
    const usages = await stores.sealedUsages.ofSource(name, field)
    const map = await mapPayers(
      usages.map(({ payer }) => payer),
      { ...stores, settings },
    )
    for (const usage of usages) {
      const mapped = map(usage.payer)
      yield { usage, account: mapped.account, reason: whyUnmapped(mapped) }
    }
  }
}

function targetOf(
  { atMs }: SealedUsage,
  accountNumber: AccountNumber,
  estimates: Estimates,
): EntryKey | undefined {
  const vault = estimates.vault(accountNumber)
  if (vault === undefined) return undefined
  return { accountNumber, periodStart: periodAt(atMs, vault.periodKind).startsAt }
}

function whyNot(
  account: AccountNumber,
  to: EntryKey | undefined,
  estimates: Estimates,
): string | undefined {
  const vault = estimates.vault(account)
  if (vault === undefined || to === undefined) {
    return `account ${account} is no vault of this provider on Flow`
  }
  if (!vault.isOpen) return `account ${account} is closed`
  if (to.periodStart < vault.openedPeriodStart) {
    return `account ${account} was opened in a later billing period`
  }
  return to.periodStart < vault.floor ? `account ${account} no longer takes this period` : undefined
}

function addMove(
  moves: Map<string, Move>,
  usage: SealedUsage,
  from: EntryKey,
  to: EntryKey | undefined,
  reason: string | undefined,
): void {
  const { source, payer } = usage
  const name = JSON.stringify([source, payer, nameOf(from), to && nameOf(to)])
  const before = moves.get(name)
  moves.set(name, {
    source,
    payer,
    from,
    ...(to === undefined ? {} : { to }),
    ...(reason === undefined ? {} : { reason }),
    records: (before?.records ?? 0n) + usage.requests,
    tokens: (before?.tokens ?? 0n) + tokensOf([usage]),
  })
}

async function changeOf(
  key: EntryKey,
  out: readonly UsageTotal[],
  added: readonly UsageTotal[],
  { totals }: Pick<Stores, 'totals'>,
  estimates: Estimates,
): Promise<TotalChange> {
  const before = await totals.of(key)
  const after = changeRows(changeRows(before, added, 1n), out, -1n)
  const [tokensBefore, tokensAfter] = [tokensOf(before), tokensOf(after)]
  const [was, becomes] = [estimates.of(key, before), estimates.of(key, after)]
  const direction = tokensAfter < tokensBefore ? 'falls' : 'rises'
  if (was === undefined || becomes === undefined) {
    return { ...key, direction, tokensBefore, tokensAfter }
  }
  const { planId, currency } = becomes
  const money = { planId, currency, before: was.price, after: wad(becomes.price) }
  return { ...key, direction, tokensBefore, tokensAfter, money }
}
