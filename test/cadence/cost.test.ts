import { afterAll, beforeAll, expect, test } from 'vitest'
import { optional, ufix64, uint } from '../../devnet/flow/cadence-json.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import type { Entry } from '../../src/domain/entry.js'
import { Settlement } from './settlement.js'
import { u64 } from './world.js'

// Goal: bringing batches to Flow stays cheap: it is the product's running cost, and one transaction
// may use 9999 units.
// Method: the computation that the fee of a real transaction names. The emulator meters with the
// weights of Flow's mainnet (FLIP 370). Each bound is what was measured and a little more.

const ENTRIES = 100
const VAULTS_A_TRANSACTION = 20

let settlement: Settlement
let accounts: bigint[]
beforeAll(async () => {
  settlement = await Settlement.start()
  accounts = await openMany(ENTRIES)
})
afterAll(() => settlement?.stop())

/** One entry for each account, with so many models and tokens for each. */
function entries(models: number, tokens: number): Entry[] {
  const rows = Array.from({ length: models }, (_, i) => ({
    modelId: i,
    promptTokens: tokens,
    completionTokens: tokens,
  }))
  return accounts.map((number) => settlement.entry({ number }, rows))
}

test('a root with three signatures, and the batch under it', async () => {
  const args = settlement.acceptArgs(settlement.seal(entries(3, 1)), { signers: [0, 1, 2] })
  const { computation } = await settlement.world.send('anybody/accept_batch', args)
  expect(computation).toBeLessThan(340n) // Measured: 320 to 325.
})

test('an entry of three models: new, next and stale', async () => {
  const each = async (batch: Awaited<ReturnType<Settlement['accept']>>): Promise<number> => {
    const result = await settlement.settle([{ batch }])
    expect(eventsNamed(result, 'SubscriptionVaults.EntrySettled')).toHaveLength(ENTRIES)
    return Number(result.computation) / ENTRIES
  }
  const first = await settlement.accept(entries(3, 1_000))
  expect(await each(first)).toBeLessThan(27) // Measured: 26.1.
  const next = await settlement.accept(entries(3, 2_000))
  expect(await each(next)).toBeLessThan(26) // Measured: 25.5.
  expect(await each(next)).toBeLessThan(18.5) // Measured: 17.6.
})

test('a hundred entries of the most models fit one transaction', async () => {
  const batch = await settlement.accept(entries(32, 3_000))
  const { computation } = await settlement.settle([{ batch }])
  expect(computation).toBeLessThan(9_900n) // Measured: 9456.
})

/** Twenty vaults in a transaction: one for each would take minutes. */
async function openMany(count: number): Promise<bigint[]> {
  const { world, provider } = settlement
  const customer = await world.client.createAccount({ fundFlow: '1000.0' })
  const cadence = cadenceSource('transactions/customer/open_vault')
    .replace('deposit: UFix64)', 'deposit: UFix64, count: Int)')
    .replace(
      'let subscription <-',
      'var i = 0\n while i < count {\n i = i + 1\n let subscription <-',
    )
    .replace('to: path)', 'to: path)\n }')
  const opened: bigint[] = []
  while (opened.length < count) {
    const many = Math.min(VAULTS_A_TRANSACTION, count - opened.length)
    const args = [u64(provider.id), u64(provider.planId), optional(null), ufix64('1.0')]
    const result = await world.client.sendOrThrow({
      cadence,
      args: [...args, uint('Int', many)],
      signers: [customer],
    })
    const events = eventsNamed(result, 'SubscriptionVaults.VaultOpened')
    opened.push(...events.map(({ account }) => account as bigint))
  }
  return opened
}
