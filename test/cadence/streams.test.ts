import { afterAll, beforeAll, expect, test } from 'vitest'
import { array, bool, type CadenceValue, string } from '../../devnet/flow/cadence-json.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { type Hex, keccak } from '../../src/domain/bytes.js'
import { settleArgs } from './batches.js'
import { expectConservation, Settlement, TOKEN_WAD } from './settlement.js'
import { u64 } from './world.js'

// Goal: a provider's stream takes what FDC attested of its own meter, and nothing else.
let settlement: Settlement
beforeAll(async () => {
  settlement = await Settlement.start()
})
afterAll(async () => {
  await expectConservation(settlement)
  await settlement.stop()
})

test('a batch counts once, and not below the last 256', async () => {
  const { world } = settlement
  const bob = await settlement.open('1.0')
  const entry = settlement.entry(bob, { promptTokens: 10 })
  const stream = (await world.run('get_stream', [u64(1)])) as { highestSeq: bigint }
  const highest = stream.highestSeq + 300n
  const old = settlement.seal([entry], { seq: stream.highestSeq })
  await settlement.accept([entry], { seq: highest })
  expect(await world.run('get_stream', [u64(1)])).toMatchObject({
    highestSeq: highest,
    base: highest - 256n,
  })
  // Gaps may be filled in any order, down to the base; what was below is gone.
  for (const seq of [highest - 255n, highest - 100n]) await settlement.accept([entry], { seq })
  const below = settlement.seal([entry], { seq: highest - 256n })
  expect(await world.refused('anybody/accept_batch', settlement.acceptArgs(below))).toMatch(
    `Batch ${highest - 256n} is not above ${highest - 256n}`,
  )
  const again = settlement.seal([entry], { seq: highest - 100n })
  expect(await world.refused('anybody/accept_batch', settlement.acceptArgs(again))).toMatch(
    `Batch ${highest - 100n} is there already`,
  )
  const seqs = array([old.header.seq, highest - 255n, highest - 99n, highest].map((n) => u64(n)))
  const held = (await world.run('get_batches', [u64(1), seqs])) as (bigint | null)[]
  expect(held.map((root) => root === null)).toEqual([true, false, true, false])
  const gone = settleArgs(1n, [{ batch: old }])
  expect(await world.refused('anybody/settle_runs', gone)).toMatch('miss the root of batch')
})

test('only what FDC attested of our meter, anchor and target is taken', async () => {
  const { world } = settlement
  const sealed = settlement.seal([settlement.entry({ number: 1n }, { promptTokens: 10 })])
  const refused = (args: ReturnType<typeof settlement.acceptArgs>) =>
    world.refused('anybody/accept_batch', args)
  const noProof = /Round \d+ does not prove batch/
  const other = `0x${'11'.repeat(20)}` as Hex
  expect(await refused(settlement.acceptArgs(sealed, { meter: other }))).toMatch(noProof)
  const { header } = sealed
  const elsewhere = { ...sealed, header: { ...header, target: header.root } }
  expect(await refused(settlement.acceptArgs(elsewhere))).toMatch(noProof)
  const args = settlement.acceptArgs(sealed)
  for (const place of [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21]) {
    const changed = args[place]
    if (changed === undefined) throw new Error(`no argument ${place}`)
    const more = String(BigInt(String(changed.value)) + 1n)
    expect(await refused(args.with(place, { ...changed, value: more }))).toMatch(noProof)
  }
  expect(await refused(args.with(19, bool(true)))).toMatch(noProof)
  expect(await refused(args.with(22, bool(false)))).toMatch(noProof)
  for (const forged of [
    { emitter: other },
    { round: 1 },
    { source: 'FLR' },
    { source: 'testETH' },
    { topic: keccak('0x05') },
    { status: '0' },
    { isRemoved: true },
    { otherEvent: '2' },
  ] as const) {
    expect(await refused(settlement.acceptArgs(sealed, { forged }))).toMatch(noProof)
  }
  const path = args[6]?.value as CadenceValue[]
  for (const wrong of [path.slice(1), [...path, ...path], []]) {
    expect(await refused(args.with(6, array(wrong)))).toMatch(noProof)
  }
  expect(await refused(args.with(0, u64(99)))).toMatch('Provider 99 has no meter')
  expect(await refused(settlement.acceptArgs(sealed, { signers: [0] }))).toMatch('threshold')
  await world.send('anybody/accept_batch', args)
})

// The last one: it gives the provider another meter.
test('a new meter voids the old one’s batches, waits, and starts its own count', async () => {
  const { world, provider } = settlement
  const bob = await settlement.open('1.0')
  const early = await settlement.accept([settlement.entry(bob, { promptTokens: 10 })])
  await settlement.settle([{ batch: early }])
  const unsettled = await settlement.accept([settlement.entry(bob, { promptTokens: 20 })])
  const old = settlement.meter
  const meter = `0x${'a1'.repeat(20)}` as Hex
  const result = await world.send('provider/set_meter', [string(meter)], provider.account)
  expect(eventsNamed(result, 'UsageBatches.MeterSet')[0]).toMatchObject({
    meter: meter.slice(2),
    meterEpoch: 2n,
  })
  const stale = settleArgs(1n, [{ batch: unsettled }])
  expect(await world.refused('anybody/settle_runs', stale)).toMatch('miss the root of batch')

  settlement.restart(meter)
  const first = settlement.seal([settlement.entry(bob, { promptTokens: 25 })])
  expect(await world.refused('anybody/accept_batch', settlement.acceptArgs(first))).toMatch(
    'The meter is active from',
  )
  await settlement.moveClock(3_601)
  await world.send('anybody/accept_batch', settlement.acceptArgs(first))
  expect(await settlement.settled({ batch: first })).toEqual([
    expect.objectContaining({ seq: 1n, result: 'applied', charge: 15n * TOKEN_WAD }),
  ])
  // Totals may not fall under the new meter either, and the old one never comes back.
  expect(await settlement.use(bob, 24)).toMatchObject({ result: 'regressed' })
  for (const used of [old, meter]) {
    const again = world.refused('provider/set_meter', [string(used)], provider.account)
    expect(await again).toMatch('is in use, or was revoked')
  }
})
