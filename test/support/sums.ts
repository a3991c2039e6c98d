import { expect } from 'vitest'
import { accountNumber, batchId, modelId } from '../../src/domain/ids.js'
import { addUsage, NO_USAGE, type Usage } from '../../src/domain/usage-total.js'
import { billableOf, priceOf } from '../../src/pricing/price.js'
import { SEPTEMBER_S } from './usage.js'
import type { Daemon, World } from './world.js'

/**
 * Whether everything that the source has for these vaults was billed, and every batch is done: no
 * row lost or counted twice, one anchor a batch, every entry applied once, every sum right. The
 * bill is computed anew from the source's rows, all of September and of model 1.
 */
export async function expectAllBilled(
  world: World,
  daemon: Daemon,
  accounts: readonly bigint[],
): Promise<void> {
  const { batches, records, books } = daemon.store
  const last = (await batches.last())?.header.seq ?? 0n
  for (const account of accounts) {
    const rows = world.source.rows.filter((row) => row.payers.user === account.toString())
    const used = rows.reduce<Usage>(
      (sum, { promptTokens, cachedPromptTokens, completionTokens }) =>
        addUsage(sum, { promptTokens, cachedPromptTokens, completionTokens, requests: 1n }),
      NO_USAGE,
    )
    const { plan } = world.flow
    const bill = priceOf(plan, billableOf(plan, [{ modelId: modelId(1), ...used }]))
    const key = { accountNumber: accountNumber(account), periodStart: SEPTEMBER_S }
    expect(world.flow.record(key).charged).toBe(bill)
  }

  const claims: string[] = []
  for (let seq = 1n; seq <= last; seq += 1n) {
    expect((await batches.get(batchId(seq)))?.life.state).toBe('settled')
    for (const { key } of await records.claimedBy(batchId(seq))) claims.push(key.requestId)
  }
  const billed = world.source.rows.filter(({ payers }) => accounts.includes(BigInt(payers.user)))
  expect(claims.sort()).toEqual(billed.map(({ key }) => key.requestId).sort())

  expect(world.flare.anchors.map(({ header }) => header.seq)).toEqual(
    Array.from({ length: Number(last) }, (_, i) => BigInt(i + 1)),
  )
  const applied = world.flow.events.filter(({ result }) => result === 'applied')
  const names = applied.map((one) => `${one.seq}/${one.accountNumber}/${one.periodStart}`)
  expect(names).toHaveLength(new Set(names).size)
  const refused = world.flow.events.filter(({ result }) => !['applied', 'stale'].includes(result))
  expect(refused).toEqual([])
  const checks = Object.entries((await books.checks())?.checks ?? { unchecked: 1n })
  expect(checks.filter(([, difference]) => difference !== 0n)).toEqual([])
}
