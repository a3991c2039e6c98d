import { afterAll, beforeAll, expect, test } from 'vitest'
import { cadenceSource } from '../../devnet/flow/sources.js'
import { Settlement } from './settlement.js'

// Goal: settling stays cheap: what a chain charges for it is the product's running cost.
// Method: the computation that the fee of a real transaction names, less that of an empty one. The
// emulator meters with the weights of Flow's mainnet (FLIP 370).

const ENTRIES = 100
const SIGNERS = [0, 1, 2]

let settlement: Settlement
beforeAll(async () => {
  settlement = await Settlement.start()
})
afterAll(() => settlement?.stop())

test('cost', async () => {
  const { world, provider } = settlement
  const first = await settlement.open('1.0')
  const opened = await openMany(settlement, ENTRIES - 1)
  const numbers = [first.number, ...opened]
  const entries = (times: number) => numbers.map((number) =>
      settlement.entry({ number }, [1, 2, 3].map((modelId) => ({ modelId, promptTokens: 1000 * times, completionTokens: 500 * times }))),
    )
  const sealed = settlement.seal(entries(1))
  const accepted = await world.send('anybody/accept_batch', settlement.acceptArgs(sealed, { signers: SIGNERS }))
  console.log('accept', accepted.computation)
  let r = await settlement.settle([{ batch: sealed }])
  console.log('settle first', r.computation, Number(r.computation - 24n) / ENTRIES)
  const again = await settlement.accept(entries(2))
  r = await settlement.settle([{ batch: again }])
  console.log('settle again', r.computation, Number(r.computation - 24n) / ENTRIES, r.events.length)
  r = await settlement.settle([{ batch: again }])
  console.log('stale', r.computation, Number(r.computation - 24n) / ENTRIES, r.events.length)
  expect(provider.id).toBe(1n)
})

async function openMany({ world, provider }: Settlement, count: number): Promise<bigint[]> {
  const customer = await world.client.createAccount({ fundFlow: '1000.0' })
  const out: bigint[] = []
  const code = cadenceSource('transactions/customer/open_vault')
  // Twenty vaults a transaction: one for each would take a minute.
  const cadence = code
    .replace('deposit: UFix64) {', 'deposit: UFix64, count: Int) {')
    .replace('        let subscription <- customer.open(', '        var i = 0\n        while i < count {\n        i = i + 1\n        let subscription <- customer.open(')
    .replace('        signer.storage.save(<-subscription, to: path)\n', '        signer.storage.save(<-subscription, to: path)\n        }\n')
  for (let left = count; left > 0; left -= 20) {
    const result = await world.client.sendOrThrow({
      cadence,
      args: [
        { type: 'UInt64', value: String(provider.id) }, { type: 'UInt64', value: String(provider.planId) },
        { type: 'Optional', value: null }, { type: 'UFix64', value: '1.0' }, { type: 'Int', value: String(Math.min(20, left)) },
      ],
      signers: [customer],
    })
    for (const e of result.events) if (e.name === 'SubscriptionVaults.VaultOpened') out.push(e.fields.account as bigint)
  }
  return out
}
