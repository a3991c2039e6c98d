import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, string, uint } from '../../devnet/flow/cadence-json.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { SERVICE_ACCOUNT } from '../../devnet/flow/system.js'
import type { Hash, Hex } from '../../src/domain/bytes.js'
import { type Answer, answerArgs, headerArgs, responseBytes, word } from './batches.js'
import { messageHash, signatures } from './flare.js'
import { CHAIN_ID, startWorld, u64, type World } from './world.js'

interface Vectors {
  readonly entries: readonly {
    readonly accountNumber: string
    readonly periodStart: string
    readonly recordsRoot: string
    readonly rows: readonly Readonly<Record<string, string | number>>[]
    readonly bytes: string
    readonly leaf: string
  }[]
  readonly batches: readonly {
    readonly chunkSize: number
    readonly root: string
    readonly chunks: readonly { readonly hash: string; readonly path: readonly string[] }[]
  }[]
  readonly targetPreimage: string
  readonly header: Readonly<Record<string, string>>
  readonly signature: {
    readonly meter: Hex
    readonly domain: { readonly verifyingContract: string }
  }
  readonly fdc: Readonly<Record<string, string>>
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/formats.json', import.meta.url), 'utf8'),
) as Vectors
const ROUND = 1_465_067

// The vectors' target names the service account of the emulator, so the contracts go there.
let world: World
beforeAll(async () => {
  world = await startWorld({
    account: SERVICE_ACCOUNT,
    anchor: vectors.signature.domain.verifyingContract,
  })
})
afterAll(() => world?.stop())

describe('entries', () => {
  test.each(vectors.entries)('of account $accountNumber, period $periodStart', async (entry) => {
    expect(await world.run('read_entry', [uint('UInt', BigInt(entry.bytes))])).toEqual({
      accountNumber: BigInt(entry.accountNumber),
      periodStart: BigInt(entry.periodStart),
      recordsRoot: BigInt(entry.recordsRoot),
      rows: entry.rows.map((row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, BigInt(value)])),
      ),
      leaf: BigInt(entry.leaf),
    })
  })

  const head = `01${'00'.repeat(44)}`
  const row = '00'.repeat(30)
  test.each([
    ['nothing', '00'],
    ['no rows', head],
    ['33 rows', head + row.repeat(33)],
    ['another tag', `02${head.slice(2)}${row}`],
    ['a byte too few', (head + row).slice(0, -2)],
    ['a byte too many', `${head}${row}00`],
  ])('%s is none', async (_, bytes) => {
    expect(await world.run('read_entry', [uint('UInt', BigInt(`0x${bytes}`))])).toBeNull()
  })

  test('one of 32 rows is one', async () => {
    const bytes = uint('UInt', BigInt(`0x${head}${row.repeat(32)}`))
    expect((await world.run('read_entry', [bytes])) as object).toMatchObject({ accountNumber: 0n })
  })
})

describe('chunks and paths', () => {
  test.each(vectors.batches)('chunks of $chunkSize', async ({ chunkSize, root, chunks }) => {
    for (const [i, { hash, path }] of chunks.entries()) {
      const leaves = vectors.entries.slice(i * chunkSize, (i + 1) * chunkSize)
      const words = array(leaves.map(({ leaf }) => word(leaf)))
      expect(await world.run('hash_chunk', [words])).toBe(BigInt(hash))
      expect(await world.run('fold_path', [word(hash), array(path.map(word))])).toBe(BigInt(root))
    }
  })
})

test('the target is that of the vectors', async () => {
  expect(await world.run('get_target')).toMatchObject({
    name: vectors.targetPreimage,
    hash: BigInt(vectors.header.target ?? ''),
  })
})

describe('the attestation', () => {
  const { meter } = vectors.signature
  const header = {
    seq: BigInt(vectors.header.seq ?? ''),
    root: vectors.header.root as Hash,
    prevRoot: vectors.header.prevRoot as Hash,
    sealedAt: BigInt(vectors.header.sealedAt ?? ''),
    target: vectors.header.target as Hash,
    manifest: vectors.header.manifest as Hash,
  }
  const forms = [
    ['with one zero byte of input', 'zeroByteInput', true],
    ['with empty input', 'emptyInput', false],
  ] as const

  test.each(forms)('%s has the leaf of the vectors', async (_, name, hasInputByte) => {
    const answer = answerOf(vectors.fdc[name] ?? '', hasInputByte)
    // The words are read right: the same bytes come out of another library.
    expect(responseBytes(meter, header, answer)).toBe(vectors.fdc[name])
    const args = [
      string(meter),
      ...headerArgs(header),
      uint('UInt32', answer.round),
      ...answerArgs(answer),
    ]
    expect(await world.run('hash_attestation', args)).toBe(BigInt(vectors.fdc[`${name}Leaf`] ?? ''))
  })

  test('of the vectors is accepted, once', async () => {
    await world.send('provider/set_up_provider', [])
    await world.send('provider/set_meter', [string(meter)])
    const answer = answerOf(vectors.fdc.zeroByteInput ?? '', true)
    // In a tree of one leaf the root is the leaf.
    const leaf = BigInt(vectors.fdc.zeroByteInputLeaf ?? '')
    const args = [
      u64(1),
      uint('UInt32', ROUND),
      uint('UInt256', leaf),
      ...signatures(messageHash(ROUND, leaf, CHAIN_ID), [0, 1]),
      array([]),
      ...headerArgs(header),
      ...answerArgs(answer),
    ]
    const accepted = await world.send('anybody/accept_batch', args)
    expect(eventsNamed(accepted, 'UsageBatches.BatchAccepted')).toEqual([
      {
        provider: 1n,
        meterEpoch: 1n,
        seq: 7n,
        root: BigInt(header.root),
        prevRoot: BigInt(header.prevRoot),
        sealedAt: header.sealedAt,
        manifest: BigInt(header.manifest),
        round: BigInt(ROUND),
        highestSeq: 7n,
      },
    ])
    expect(await world.refused('anybody/accept_batch', args)).toMatch('Batch 7 is there already')
  })
})

/** The words of an answer, by their fixed places. */
function answerOf(response: string, hasInputByte: boolean): Answer {
  const at = (offset: number): Hash =>
    `0x${response.slice(2 + offset * 2, 66 + offset * 2)}` as Hash
  const address = (offset: number): Hex => `0x${at(offset).slice(26)}`
  return {
    round: Number(at(96)),
    lowestUsedTimestamp: BigInt(at(128)),
    transactionHash: at(224),
    requiredConfirmations: Number(at(256)),
    logIndex: Number(at(416)),
    blockNumber: BigInt(at(448)),
    timestamp: BigInt(at(480)),
    sourceAddress: address(512),
    isDeployment: BigInt(at(544)) === 1n,
    receivingAddress: address(576),
    value: BigInt(at(608)),
    hasInputByte,
  }
}
