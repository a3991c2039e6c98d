import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { id, SigningKey } from 'ethers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Anvil, startAnvil } from '../../devnet/flare/anvil.js'
import { Chain } from '../../devnet/flare/chain.js'
import { submissionCalldata } from '../../devnet/flare/formats.js'
import { FlareChain } from '../../src/attestors/flare/chain.js'
import { RpcClient } from '../../src/attestors/flare/client.js'
import { flareConfig } from '../../src/attestors/flare/config.js'
import type { ContractBook } from '../../src/attestors/flare/contracts.js'
import {
  digestOf,
  fdcMessage,
  messageHash,
  submittedVote,
} from '../../src/attestors/flare/signing-policy.js'
import { Submissions } from '../../src/attestors/flare/submissions.js'
import { type Hex, hash, join, keccak, u8, u16, u32 } from '../../src/domain/bytes.js'

const ROUND = 1_465_000
const SUBMISSION: Hex = `0x${'5b'.repeat(20)}`
const root = hash(id('a root'))
const message = fdcMessage(ROUND, root)
const digest = digestOf(messageHash(message, 'bound', 114))
const keys = ['a', 'b', 'c', 'd'].map((name) => new SigningKey(id(name)))
const voters = keys.slice(0, 3).map((key) => ({
  address: `0x${keccak(`0x${key.publicKey.slice(4)}`).slice(-40)}` as Hex,
  weight: 20_000,
}))
const policy = { threshold: 30_000, voters }
const fdc = { protocolId: 200, votingRoundId: ROUND }

function submittedBy(i: number, head = fdc, withMessage?: Hex): Hex {
  const key = keys[i]
  if (key === undefined) throw new Error('no such key')
  return submissionCalldata(head, key.sign(digest), withMessage) as Hex
}

describe('calldata of submitSignatures()', () => {
  const good = submittedBy(0)
  const entry: Hex = `0x${good.slice(10)}`
  const selector: Hex = '0x57eed580'
  const vote = submittedVote(good, ROUND)

  test('has a signature, with the message or without, among those of other protocols', () => {
    const { r, s, v } = keys[0]?.sign(digest) ?? {}
    expect(vote).toEqual({ r, s, v })
    expect(submittedVote(submittedBy(0, fdc, message), ROUND)).toEqual(vote)
    const ftso = join(u8(100), u32(ROUND), u16(3), '0x010203')
    expect(submittedVote(join(selector, ftso, entry, ftso), ROUND)).toEqual(vote)
    // What follows a signature inside its entry is for the providers.
    const extra = join(u8(200), u32(ROUND), u16(70), `0x${entry.slice(16)}`, '0xffffffff')
    expect(submittedVote(join(selector, extra), ROUND)).toEqual(vote)
  })

  test.each<[string, Hex]>([
    ['nothing', '0x'],
    ['another method', join('0x6c532fae', entry)],
    ['the selector alone', selector],
    ['a head cut short', join(selector, u8(200), u32(ROUND))],
    ['another protocol', submittedBy(0, { ...fdc, protocolId: 100 })],
    ['another round', submittedBy(0, { ...fdc, votingRoundId: ROUND + 1 })],
    ['the greatest round', submittedBy(0, { ...fdc, votingRoundId: 0xffffffff })],
    ['a length beyond the end', join(selector, u8(200), u32(ROUND), u16(0xffff), '0x01')],
    ['no payload', join(selector, u8(200), u32(ROUND), u16(0))],
    [
      'a type that nobody knows',
      join(selector, u8(200), u32(ROUND), u16(66), u8(2), `0x${'11'.repeat(65)}`),
    ],
    [
      'a signature cut short',
      join(selector, u8(200), u32(ROUND), u16(65), u8(1), `0x${'11'.repeat(64)}`),
    ],
    ['a message without a signature', join(selector, u8(200), u32(ROUND), u16(39), u8(0), message)],
    ['the whole cut short', `0x${good.slice(2, -2)}`],
  ])('%s: no vote', (_, input) => {
    expect(submittedVote(input, ROUND)).toBeUndefined()
  })

  test('of empty entries by the thousand only the first are read', () => {
    const empty = join(u8(200), u32(ROUND), u16(0)).slice(2)
    const many: Hex = `${selector}${empty.repeat(18_000)}`
    expect(submittedVote(join(many, entry), ROUND)).toBeUndefined()
  })
})

describe('blocks on a node', () => {
  const end = new AbortController()
  const { signal } = end
  const folder = mkdtempSync(path(tmpdir(), 'flowmeter-submissions-'))
  let anvil: Anvil
  let node: Chain
  let chain: FlareChain
  let from: string

  beforeAll(async () => {
    anvil = await startAnvil(folder)
    node = new Chain(anvil.rpcUrl, signal)
    from = anvil.accounts[0]?.address ?? ''
    const config = flareConfig.parse({
      ...{ rpcUrls: anvil.rpcUrl, anchorAddress: `0x${'11'.repeat(20)}` },
      ...{ gasKey: `0x${'01'.repeat(32)}`, meterKey: `0x${'02'.repeat(32)}` },
    })
    chain = new FlareChain(new RpcClient(config), config.logWindowBlocks)
  })
  afterAll(async () => {
    end.abort()
    await anvil?.stop()
    rmSync(folder, { recursive: true })
  })

  /** From now on a round has ended, and each input is in a block of its own. */
  async function found(inputs: readonly Hex[], to: string = SUBMISSION) {
    const { timestamp } = await node.head()
    const contracts = {
      submission: SUBMISSION,
      firstRoundStartsAt: timestamp + 1 - (ROUND + 1) * 90,
      roundSeconds: 90,
    }
    const book = { current: async () => contracts } as unknown as ContractBook
    let relayedIn = 0
    await node.rpc('evm_increaseTime', [1])
    for (const data of inputs) relayedIn = (await node.transact({ from, to, data })).blockNumber
    const search = { round: ROUND, policy, digest, relayedIn }
    return new Submissions(book).find(chain, search, signal)
  }

  const rubbish = [
    submittedBy(0, { ...fdc, protocolId: 100 }),
    submittedBy(3), // Nobody's of the policy.
    submittedBy(1, { ...fdc, votingRoundId: ROUND - 1 }),
    join('0x57eed580', u8(200), u32(ROUND), u16(66), u8(1), `0x${'ff'.repeat(65)}`),
    join('0x57eed580', u8(200), u32(ROUND), u16(0xffff)),
    '0x57eed580',
  ] as const

  test('hold enough signatures, with whatever strangers put between', async () => {
    const inputs = [...rubbish, submittedBy(2), ...rubbish, submittedBy(0, fdc, message)]
    const signatures = await found(inputs)
    expect(signatures?.map(({ index }) => index)).toEqual([0, 2])
  })

  test('hold too few: a voter counts once, and nowhere else than at Submission', async () => {
    expect(await found([submittedBy(1), ...rubbish, submittedBy(1, fdc, message)])).toBeUndefined()
    expect(await found([submittedBy(0), submittedBy(1)], `0x${'5c'.repeat(20)}`)).toBeUndefined()
  })

  test('from before the round ended are not looked at', async () => {
    await node.transact({ from, to: SUBMISSION, data: submittedBy(0) })
    expect(await found([submittedBy(1)])).toBeUndefined()
  })
})
