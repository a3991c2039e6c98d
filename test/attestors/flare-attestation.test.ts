import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { MerkleTree } from '../../devnet/flare/merkle.js'
import { Attestations, type Wanted } from '../../src/attestors/flare/attestation.js'
import { flareConfig } from '../../src/attestors/flare/config.js'
import { DaLayer } from '../../src/attestors/flare/da-layer.js'
import { type Hash, type Hex, keccak, u64, u256 } from '../../src/domain/bytes.js'

const { signal } = new AbortController()
const asked: string[] = []
let server: Server
/** By path: what the DA layer answers. */
let answers: Readonly<Record<string, readonly [status: number, body: unknown]>> = {}

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/^.*\/|\?.*$/g, '')
    asked.push(path)
    const [status, body] = answers[path] ?? [404, {}]
    response.writeHead(status).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
})
afterEach(() => void vi.restoreAllMocks())
afterAll(() => void server.close())

const PROOF = 'proof-by-request-round-raw'
const NOT_FOUND = [400, { error: 'attestation request not found' }] as const
const others: readonly Hex[] = [u256(1), u256(2), u256(3)]
const tree = new MerkleTree(others.map((response) => keccak(response)))
const wanted: Wanted = {
  event: { logIndex: 1, emitter: `0x${'11'.repeat(20)}`, topics: [], data: '0x' },
  anchor: { txHash: keccak(u64(1)), blockNumber: 1, logIndex: 1 },
  ...{ round: 7, root: tree.root as Hash, request: u256(9) },
}

function attestations(daRequestsPerMinute: number): Attestations {
  const { port } = server.address() as AddressInfo
  const config = flareConfig.parse({
    ...{ daUrl: `http://127.0.0.1:${port}`, daRequestsPerMinute },
    ...{
      anchorAddress: `0x${'11'.repeat(20)}`,
      gasKey: '01'.repeat(32),
      meterKey: '02'.repeat(32),
    },
  })
  return new Attestations(new DaLayer(config), 'testFLR')
}

// Goal: a round that left our request out is found out, however slowly the DA layer may be asked.
// Method: the clock goes on by as much as earns one request, and each look may spend just that.
test('a miss is seen with one request at a time', async () => {
  answers = {
    [PROOF]: NOT_FOUND,
    raw: [200, others.map((hex) => ({ response_hex: hex, proof: [] }))],
  }
  let nowMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  const looks = attestations(3)
  asked.length = 0
  const outcomes: string[] = []
  for (let look = 0; look < 2; look += 1) {
    const found = await looks.find(wanted, signal)
    if (!('outcome' in found)) throw new Error('found')
    outcomes.push(found.outcome)
    nowMs += 20_000
  }
  expect(asked).toEqual([PROOF, 'raw'])
  expect(outcomes).toEqual(['pending', 'missed'])
})

test('a server of trees that fails does not keep us from proofs', async () => {
  answers = { [PROOF]: NOT_FOUND, raw: [500, {}] }
  const looks = attestations(600)
  asked.length = 0
  for (let look = 0; look < 2; look += 1) {
    expect(await looks.find(wanted, signal)).toMatchObject({ outcome: 'pending' })
  }
  expect(asked).toEqual([PROOF, 'raw', PROOF, 'raw'])
})

// Goal: a tree that is not the round's proves no absence. Method: a leaf too few, none, and too many.
test('a tree with another root is no miss', async () => {
  const looks = attestations(600)
  for (const leaves of [others.slice(1), [], [...others, u256(4)]]) {
    answers = {
      [PROOF]: NOT_FOUND,
      raw: [200, leaves.map((hex) => ({ response_hex: hex, proof: [] }))],
    }
    expect(await looks.find(wanted, signal)).toMatchObject({ outcome: 'pending' })
  }
})
