import type { Attestor } from '../ports/attestor.js'
import type { Settler } from '../ports/settler.js'
import type { Watch } from '../ports/sightings.js'
import type { Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface WalletsParts {
  readonly watch: Watch
  readonly attestor: Attestor
  readonly settler: Settler
}

const FLARE_DECIMALS = 18
const FLOW_DECIMALS = 8
const DAY_MS = 24 * 3_600_000
/** What the last week cost is what the next days will. */
const LOOKED_BACK_MS = 7 * DAY_MS
/** Less says nothing about days. */
const LEAST_MS = 3_600_000

/** Keeps the balances of both chains' wallets: a daemon that runs out of gas stops silently. */
export async function walletsNext(
  { watch, attestor, settler }: WalletsParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const flare = await attestor.wallet(signal)
  await watch.saveWallet({ wallet: 'flare', decimals: FLARE_DECIMALS, ...flare })
  const flow = await settler.wallet(signal)
  await watch.saveWallet({ wallet: 'flow', decimals: FLOW_DECIMALS, ...flow })
  return 'idle'
}

/** A wallet as status shows it. */
export interface WalletStatus {
  readonly wallet: string
  readonly address: string
  /** Whole coins, as decimal text. */
  readonly balance: string
  /** ISO 8601. */
  readonly at: string
  /** How long it lasts at the pace of the last week; absent while nothing was spent, or too little time seen. */
  readonly runwayDays?: number
  /** Coins at the pace of the last week, as decimal text: a day; for each batch that was sealed. */
  readonly spentPerDay?: string
  readonly spentPerBatch?: string
}

/** From what was kept: no chain is asked. */
export async function walletStatus(
  { watch, views }: Pick<Stores, 'watch' | 'views'>,
  nowMs: number,
): Promise<WalletStatus[]> {
  const wallets = await watch.wallets()
  return Promise.all(
    wallets.map(async ({ wallet, address, decimals, balance, atMs }) => {
      const kept = await watch.balances(wallet, nowMs - LOOKED_BACK_MS)
      const seen = [...kept, { balance, atMs }]
      const days = runwayDays(seen)
      const sinceMs = seen[0]?.atMs ?? atMs
      const seenMs = BigInt(Math.max(LEAST_MS, atMs - sinceMs))
      const [spent, batches] = [spentOf(seen), BigInt(await views.sealedSince(sinceMs))]
      return {
        wallet,
        address,
        balance: coins(balance, decimals),
        at: new Date(atMs).toISOString(),
        ...(days === undefined
          ? {}
          : {
              runwayDays: days,
              spentPerDay: coins((spent * BigInt(DAY_MS)) / seenMs, decimals),
              ...(batches === 0n ? {} : { spentPerBatch: coins(spent / batches, decimals) }),
            }),
      }
    }),
  )
}

/**
 * Days until the newest balance is used up, if it goes on as over the whole time that is given.
 * What was paid in is left out: only falls count. To a tenth of a day, rounded down.
 */
export function runwayDays(
  balances: readonly { readonly balance: bigint; readonly atMs: number }[],
): number | undefined {
  const [first] = balances
  const last = balances.at(-1)
  if (first === undefined || last === undefined) return undefined
  const seenMs = last.atMs - first.atMs
  if (seenMs < LEAST_MS) return undefined
  const spent = spentOf(balances)
  if (spent === 0n) return undefined
  return Number((last.balance * BigInt(seenMs) * 10n) / (spent * BigInt(DAY_MS))) / 10
}

/** What was paid in is left out: only falls count. */
function spentOf(balances: readonly { readonly balance: bigint }[]): bigint {
  let spent = 0n
  balances.reduce((before, after) => {
    if (after.balance < before.balance) spent += before.balance - after.balance
    return after
  })
  return spent
}

/** Exact, with at most four digits after the point. */
function coins(balance: bigint, decimals: number): string {
  const unit = 10n ** BigInt(decimals)
  const part = ((balance % unit) * 10_000n) / unit
  return `${balance / unit}.${String(part).padStart(4, '0')}`
}
