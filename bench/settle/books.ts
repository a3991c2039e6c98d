import { array, uint } from '../../devnet/flow/cadence-json.js'
import type { Entry } from '../../src/domain/entry.js'
import { defaultPlan } from '../../src/pricing/default-plan.js'
import { billableOf, priceOf } from '../../src/pricing/price.js'
import { u64 } from '../../test/cadence/world.js'
import type { Crowd } from './crowd.js'

const RECORDS_MAX = 500
const VAULTS_MAX = 250
const SUMS = ['balances', 'charged', 'paid', 'owed', 'writtenOff'] as const

type Sums = Readonly<Record<(typeof SUMS)[number], bigint>>

interface Conservation {
  readonly pools: readonly { readonly balance: bigint; readonly accounted: bigint }[]
  readonly books: readonly (Sums & { readonly earnings: bigint })[]
  readonly page: Sums
}

/** Wad that a period costs with an entry's totals, as our own price function says. */
export function priceOfEntry({ rows }: Entry): bigint {
  return priceOf(defaultPlan, billableOf(defaultPlan, rows))
}

/** Entries whose period Flow does not hold as they state it. */
export async function missingRecords(crowd: Crowd, entries: readonly Entry[]): Promise<string[]> {
  const { world, provider } = crowd.settlement
  const missing: string[] = []
  for (let from = 0; from < entries.length; from += RECORDS_MAX) {
    const page = entries.slice(from, from + RECORDS_MAX)
    const accounts = array(page.map(({ accountNumber }) => u64(accountNumber)))
    const periods = array(page.map(({ periodStart }) => uint('UInt32', periodStart)))
    const args = [u64(provider.id), accounts, periods]
    const records = (await world.run('get_records', args)) as ({ charged: bigint } | null)[]
    page.forEach((entry, i) => {
      const held = records[i]?.charged ?? 0n
      const price = priceOfEntry(entry)
      if (held !== price) missing.push(`account ${entry.accountNumber} has ${held}, not ${price}`)
    })
  }
  return missing
}

/** What does not add up: pools, running sums, the vaults themselves, and what all was to cost. */
export async function unbalanced(crowd: Crowd, charged: bigint): Promise<string[]> {
  const { world, provider } = crowd.settlement
  const sums = { balances: 0n, charged: 0n, paid: 0n, owed: 0n, writtenOff: 0n }
  let last: Conservation | undefined
  for (let from = 0; from < crowd.numbers.length; from += VAULTS_MAX) {
    const args = [u64(provider.id), uint('Int', from), uint('Int', VAULTS_MAX)]
    last = (await world.run('get_conservation', args)) as unknown as Conservation
    for (const sum of SUMS) sums[sum] += last.page[sum]
  }
  const [book] = last?.books ?? []
  if (last === undefined || book === undefined) return ['there are no books']
  const laws: [string, bigint, bigint][] = [
    ...last.pools.map((pool): [string, bigint, bigint] => ['pool', pool.balance, pool.accounted]),
    ...SUMS.map((sum): [string, bigint, bigint] => [sum, book[sum], sums[sum]]),
    ['charged', book.charged, book.paid + book.owed + book.writtenOff],
    ['charged of all', book.charged, charged],
  ]
  return laws.flatMap(([law, is, has]) => (is === has ? [] : [`${law}: ${is} is not ${has}`]))
}
