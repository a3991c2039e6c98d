import { optional, ufix64, uint } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import { SERVICE_ACCOUNT } from '../../devnet/flow/system.js'
import type { Entry } from '../../src/domain/entry.js'
import type { Settlement } from '../../test/cadence/settlement.js'
import { u64 } from '../../test/cadence/world.js'
import { repeated } from './repeat.js'

/** What one opening may take; the emulator of the bench takes more in a transaction than Flow. */
const OPENING_UNITS_MAX = 1_000
/** For the deposits of one customer, and fees. */
const CUSTOMER_FLOW = '6000.0'
/** By turns, in FLOW: what most can pay from, and what few of the later totals can be paid from. */
const DEPOSITS = ['10.0', '10.0', '10.0', '0.2'] as const

/** What an emulator has to take in one transaction to open so many vaults at once. */
export function openingUnits(atOnce: number): number {
  return atOnce * OPENING_UNITS_MAX
}

/** Many vaults of one provider, and the tokens that each has used so far. */
export class Crowd {
  readonly settlement: Settlement
  /** Brings batches. (The service account would be spared Flow's limit of events.) */
  readonly relayer: FlowAccount
  readonly numbers: readonly bigint[]
  readonly #last = new Map<bigint, Entry>()
  /** In the order in which they are taken. */
  readonly #untouched: Set<bigint>

  /** Opens vaults, so many in one transaction, and tells how many there are after each. */
  static async open(
    settlement: Settlement,
    { count, atOnce }: { readonly count: number; readonly atOnce: number },
    tell: (opened: number) => void = () => {},
  ): Promise<Crowd> {
    const { client } = settlement.world
    const relayer = await client.createAccount({ fundFlow: '1000.0' })
    const numbers: bigint[] = []
    for (let turn = 0; numbers.length < count; turn += 1) {
      const deposit = DEPOSITS[turn % DEPOSITS.length] ?? DEPOSITS[0]
      const many = Math.min(atOnce, count - numbers.length)
      numbers.push(...(await openMany(settlement, many, deposit)))
      tell(numbers.length)
    }
    return new Crowd(settlement, relayer, numbers)
  }

  constructor(settlement: Settlement, relayer: FlowAccount, numbers: readonly bigint[]) {
    this.settlement = settlement
    this.relayer = relayer
    this.numbers = numbers
    this.#untouched = new Set(shuffled(numbers))
  }

  /** Accounts that nothing was charged to yet, from all over the crowd. */
  fresh(count: number): bigint[] {
    if (count > this.#untouched.size) {
      throw new Error(`only ${this.#untouched.size} of ${this.numbers.length} vaults are fresh`)
    }
    return [...this.#untouched].slice(0, count).sort(ascending)
  }

  /** Accounts that were charged for so many models before in this month. */
  known(count: number, models: number): bigint[] {
    const known = [...this.#last].filter(([, { rows }]) => rows.length === models)
    if (count > known.length) throw new Error(`only ${known.length} vaults were charged before`)
    return shuffled(known.map(([number]) => number))
      .slice(0, count)
      .sort(ascending)
  }

  /** The next totals of accounts: a little more of each model. */
  entries(accounts: readonly bigint[], models: number): Entry[] {
    return accounts.map((number) => {
      const last = this.#last.get(number)?.rows[0]?.promptTokens ?? 0n
      const promptTokens = last + 400n + (number % 97n)
      const rows = Array.from({ length: models }, (_, modelId) => ({
        modelId,
        promptTokens,
        cachedPromptTokens: promptTokens / 4n,
        completionTokens: promptTokens / 2n,
      }))
      return this.settlement.entry({ number }, rows)
    })
  }

  /** Remembers entries that Flow has applied. */
  applied(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#last.set(entry.accountNumber, entry)
      this.#untouched.delete(entry.accountNumber)
    }
  }

  /** The last entry of each account that Flow has applied. */
  held(): Entry[] {
    return [...this.#last.values()]
  }

  /** Bytes of storage that the contracts' account takes up. */
  async storageUsed(): Promise<bigint> {
    const { client, account } = this.settlement.world
    const source = `access(all) fun main(at: Address): UInt64 { return getAccount(at).storage.used }`
    const args = [{ type: 'Address', value: account.address }]
    return (await client.script(source, args)) as bigint
  }
}

async function openMany(
  { world, provider }: Settlement,
  count: number,
  deposit: string,
): Promise<bigint[]> {
  // A customer for each turn: a thousand things in one account's storage make each more dear.
  const customer = await world.client.createAccount({ fundFlow: CUSTOMER_FLOW })
  const result = await world.client.sendOrThrow({
    cadence: repeated(cadenceSource('transactions/customer/open_vault')),
    args: [
      ...[provider.id, provider.planId].map(u64),
      optional(null),
      ufix64(deposit),
      uint('Int', count),
    ],
    signers: [customer],
    payer: SERVICE_ACCOUNT, // Spared Flow's limit of events.
    computeLimit: openingUnits(count),
  })
  return eventsNamed(result, 'SubscriptionVaults.VaultOpened').map(
    ({ account }) => account as bigint,
  )
}

/** The same order at every run: by a hash of the number. */
function shuffled(numbers: readonly bigint[]): bigint[] {
  const key = (number: bigint): bigint => (number * 0x9e3779b97f4a7c15n) % (1n << 64n)
  return [...numbers].sort((a, b) => ascending(key(a), key(b)))
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : 1
}
