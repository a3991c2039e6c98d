import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, type CadenceValue, string, uint } from '../../devnet/flow/cadence-json.js'
import {
  messageHash,
  policyHash,
  policyHex,
  type SignerOf,
  signatures,
  weightsOf,
} from './flare.js'
import { deployLightClient, type LightClient } from './light-clients.js'
import { CHAIN_ID, EPOCH, ROUNDS_PER_EPOCH, START_ROUND, startWorld, type World } from './world.js'

// Goal: nothing but enough signatures of the right voters over the right bytes changes the light
// client. Method: for policies of Flare's sizes, one change at a time to a call that is right, each
// refused for the reason of that change; after all of them the call that is right is taken.

const ROOT = 0xabcdefn
const ROUND = START_ROUND + 7
const OTHER_CHAIN = 14n
const NO_WEIGHT = /A weight of \d+ is not above the threshold of/
const SIGNATURE = /The signature is not one of voter 0$/m

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.stop())

/** So many voters, of whom the first `exact` weigh as much as the threshold: one more is enough. */
const SIZES = [
  { voters: 4, exact: 3 },
  { voters: 18, exact: 3 },
  { voters: 85, exact: 25 },
  { voters: 100, exact: 45 },
] as const

/** What hangs on the number of voters. The rest is tried with the smallest policy. */
const AT_EVERY_SIZE = new Set([
  ...['too little weight', 'weight equal to the threshold', 'a signer twice', 'unsorted signers'],
  ...['a position behind the last', 'the key of another voter', 'signatures of another round'],
  ...['signatures for another chain', 'the older digest', 'a key too few'],
  ...['signed by too little weight', 'signed by weight equal to the threshold'],
  ...['signed by the wrong set', 'signed the older way', 'cut by a voter'],
  'with a voter more than it says',
])

describe.each(SIZES)('a policy of $voters voters', ({ voters, exact }) => {
  const weights = weightsOf(voters, exact)
  const threshold = weights.slice(0, exact).reduce((sum, weight) => sum + weight, 0)
  const enough = Array.from({ length: exact + 1 }, (_, i) => i)
  const policy = (epoch: number, more: object = {}): string =>
    policyHex({ epoch, startRound: epoch * ROUNDS_PER_EPOCH, threshold, weights, ...more })
  let client: LightClient
  beforeAll(async () => {
    client = await deployLightClient(world, { checkpoint: policy(EPOCH) })
  })

  async function expectNoRoot(round: CadenceValue | undefined): Promise<void> {
    if (round === undefined) throw new Error('which round?')
    const nothing = { merkleRoot: null, isPoisoned: false }
    expect(await client.run('is_round_proven', [round])).toMatchObject(nothing)
  }

  type Case = readonly [what: string, args: () => CadenceValue[], why: RegExp | string]
  const root = (by: readonly (number | SignerOf)[], round = ROUND): CadenceValue[] =>
    rootArgs(round, messageHash(round, ROOT, CHAIN_ID), by)
  const right = (): CadenceValue[] => root(enough)
  const of = (cases: readonly Case[]): readonly Case[] =>
    voters === SIZES[0].voters ? cases : cases.filter(([what]) => AT_EVERY_SIZE.has(what))
  const without = (at: number): CadenceValue[] =>
    right().with(at, array(itemsOf(right()[at]).slice(1)))
  const more = (at: number): CadenceValue[] => {
    const items = itemsOf(right()[at])
    return right().with(at, array([...items, ...items.slice(-1)]))
  }
  const text = (at: number, change: (hex: string) => string): CadenceValue[] => {
    const [first, ...rest] = itemsOf(right()[at])
    return right().with(at, array([string(change(String(first?.value))), ...rest]))
  }
  const lengths = (keys: number, signed: number): string =>
    `${exact + 1} signers, ${exact + 1 + keys} keys and ${exact + 1 + signed} signatures`
  const roots: readonly Case[] = [
    ['no signature', () => root([]), 'A weight of 0 is not above'],
    ['too little weight', () => root(enough.slice(0, -2)), NO_WEIGHT],
    [
      'weight equal to the threshold',
      () => root(enough.slice(0, -1)),
      `A weight of ${threshold} is not above the threshold of ${threshold}`,
    ],
    ['a signer twice', () => root([0, ...enough]), 'Signer 0 is out of order'],
    ['unsorted signers', () => root([1, 0, ...enough.slice(2)]), 'Signer 0 is out of order'],
    [
      'a position behind the last',
      () => root([...enough, { index: voters, key: 1 }]),
      `Signer ${voters} is out of order, or not one of ${voters}`,
    ],
    [
      'the highest position there is',
      () => root([...enough, { index: 65_535, key: 1 }]),
      `Signer 65535 is out of order`,
    ],
    [
      'a key that is no voter’s',
      () => root([{ index: 0, key: 9_999 }, ...enough.slice(1)]),
      'The public key is not that of voter 0',
    ],
    [
      'the key of another voter',
      () => root([{ index: 0, key: 2 }, ...enough.slice(1)]),
      'The public key is not that of voter 0',
    ],
    [
      'the signature of another voter',
      () =>
        right().with(
          4,
          array([...itemsOf(right()[4]).slice(1), ...itemsOf(right()[4]).slice(0, 1)]),
        ),
      SIGNATURE,
    ],
    [
      'signatures of another round',
      () => rootArgs(ROUND, messageHash(ROUND + 1, ROOT, CHAIN_ID), enough),
      SIGNATURE,
    ],
    [
      'signatures of another root',
      () => rootArgs(ROUND, messageHash(ROUND, ROOT + 1n, CHAIN_ID), enough),
      SIGNATURE,
    ],
    [
      'signatures for another chain',
      () => rootArgs(ROUND, messageHash(ROUND, ROOT, OTHER_CHAIN), enough),
      SIGNATURE,
    ],
    ['the older digest', () => rootArgs(ROUND, messageHash(ROUND, ROOT, null), enough), SIGNATURE],
    ['a root of zero', () => right().with(1, uint('UInt256', 0)), 'Zero is no root'],
    [
      'a round of the epoch before',
      () => root(enough, START_ROUND - 1),
      `serves round ${START_ROUND - 1}`,
    ],
    [
      'a round of the epoch to come',
      () => root(enough, START_ROUND + ROUNDS_PER_EPOCH),
      `No policy from ${EPOCH} to ${EPOCH} serves`,
    ],
    ['a key too few', () => without(3), lengths(-1, 0)],
    ['a signature too few', () => without(4), lengths(0, -1)],
    ['a key too many', () => more(3), lengths(1, 0)],
    ['a signature too many', () => more(4), lengths(0, 1)],
    [
      'a key that is too short',
      () => text(3, (hex) => hex.slice(2)),
      'The public key is not that of voter 0',
    ],
    [
      'a key that is too long',
      () => text(3, (hex) => `${hex}00`),
      'The public key is not that of voter 0',
    ],
    [
      'a key with its first byte, 04',
      () => text(3, (hex) => `04${hex}`),
      'The public key is not that of voter 0',
    ],
    ['a signature that is too short', () => text(4, (hex) => hex.slice(2)), SIGNATURE],
    ['a signature with its v', () => text(4, (hex) => `${hex}1b`), SIGNATURE],
    [
      'a key that is no hexadecimal',
      () => text(3, (hex) => `zz${hex.slice(2)}`),
      'invalid byte in hex string',
    ],
    [
      'a signature that is no hexadecimal',
      () => text(4, (hex) => `${hex.slice(2)}0x`),
      'invalid byte in hex string',
    ],
    ['a signature of zeros', () => text(4, () => '00'.repeat(64)), SIGNATURE],
    [
      'a key off the curve',
      () => text(3, () => 'ff'.repeat(64)),
      'The public key is not that of voter 0',
    ],
  ]
  test.each(of(roots))('a root with %s is refused', async (_, args, why) => {
    expect(await client.refused('anybody/submit_root', args())).toMatch(why)
    await expectNoRoot(args()[0])
  })

  const next = policy(EPOCH + 1)
  const signed = (hex: string, by: readonly (number | SignerOf)[] = enough): CadenceValue[] =>
    policyArgs(hex, policyHash(hex, CHAIN_ID), by)
  const strangers = enough.map((index) => ({ index, key: 1_000 + index }))
  const policies: readonly Case[] = [
    ['signed by too little weight', () => signed(next, enough.slice(0, -2)), NO_WEIGHT],
    [
      'signed by weight equal to the threshold',
      () => signed(next, enough.slice(0, -1)),
      `A weight of ${threshold} is not above`,
    ],
    [
      'signed by the wrong set',
      () => signed(next, strangers),
      'The public key is not that of voter 0',
    ],
    ['signed the older way', () => policyArgs(next, policyHash(next, null), enough), SIGNATURE],
    [
      'signed for another chain',
      () => policyArgs(next, policyHash(next, OTHER_CHAIN), enough),
      SIGNATURE,
    ],
    [
      'with the signatures of another one',
      () =>
        policyArgs(
          next,
          policyHash(policy(EPOCH + 1, { startRound: 1 + START_ROUND }), CHAIN_ID),
          enough,
        ),
      SIGNATURE,
    ],
    [
      'of the epoch that is there',
      () => signed(policy(EPOCH)),
      `Epoch ${EPOCH} does not follow ${EPOCH}`,
    ],
    [
      'of an epoch long past',
      () => signed(policy(EPOCH - 5)),
      `Epoch ${EPOCH - 5} does not follow ${EPOCH}`,
    ],
    [
      'of the epoch after the next',
      () => signed(policy(EPOCH + 2)),
      `Epoch ${EPOCH + 2} does not follow ${EPOCH}`,
    ],
    [
      'that starts no later than the last',
      () => signed(policy(EPOCH + 1, { startRound: START_ROUND })),
      `Round ${START_ROUND} is not after ${START_ROUND}`,
    ],
    ['cut by a byte', () => signed(next.slice(0, -2)), 'bytes are no signing policy'],
    [
      'cut by a voter',
      () => signed(next.slice(0, -44)),
      `It says ${voters} voters and lists ${voters - 1}`,
    ],
    [
      'with a voter more than it says',
      () => signed(next + next.slice(-44)),
      `It says ${voters} voters and lists ${voters + 1}`,
    ],
    [
      'with more voters than Flare allows',
      () =>
        signed(
          policyHex({
            epoch: EPOCH + 1,
            startRound: START_ROUND + 240,
            threshold: 151,
            weights: Array(301).fill(1),
          }),
        ),
      'bytes are no signing policy',
    ],
    ['without voters', () => signed(next.slice(0, 86)), '43 bytes are no signing policy'],
    [
      'with weights of 65536',
      () => signed(policy(EPOCH + 1, { weights: weights.with(0, (weights[0] ?? 0) + 1) })),
      'add up to 65536',
    ],
    [
      'with a threshold below half',
      () => signed(policy(EPOCH + 1, { threshold: 32_767 })),
      'threshold of 32767 does not fit',
    ],
    [
      'with a threshold above two thirds',
      () => signed(policy(EPOCH + 1, { threshold: 43_254 })),
      'threshold of 43254 does not fit',
    ],
    [
      'that is no hexadecimal',
      () => signed(next).with(0, string(`${next.slice(0, -2)}zz`)),
      'invalid byte in hex string',
    ],
  ]
  test.each(of(policies))('a policy %s is refused', async (_, args, why) => {
    expect(await client.refused('anybody/submit_policy', args())).toMatch(why)
    expect(await client.run('get_light_client')).toMatchObject({ lastEpoch: BigInt(EPOCH) })
  })

  // Upper case is the same number, so it is no second signature and no other voter.
  test('what is right is taken, in upper case too, and no second root beside it', async () => {
    const upper = [2, 3, 4].reduce((args, at) => {
      const texts = itemsOf(args[at]).map((item) =>
        item.type === 'String' ? string(String(item.value).toUpperCase()) : item,
      )
      return args.with(at, array(texts))
    }, right())
    await client.send('anybody/submit_root', upper)
    const proven = [uint('UInt32', ROUND)]
    expect(await client.run('is_round_proven', proven)).toMatchObject({ merkleRoot: ROOT })
    const other = messageHash(ROUND, ROOT + 1n, CHAIN_ID)
    const second = (by: readonly number[]): CadenceValue[] =>
      rootArgs(ROUND, other, by).with(1, uint('UInt256', ROOT + 1n))
    expect(await client.refused('anybody/submit_root', second(enough.slice(0, -1)))).toMatch(
      NO_WEIGHT,
    )
    expect(await client.run('is_round_proven', proven)).toMatchObject({ isPoisoned: false })
    await client.send('anybody/submit_root', second(enough))
    expect(await client.run('is_round_proven', proven)).toMatchObject({ isPoisoned: true })

    await client.send('anybody/submit_policy', signed(next))
    expect(await client.run('get_light_client')).toMatchObject({ lastEpoch: BigInt(EPOCH + 1) })
    expect(await client.refused('anybody/submit_policy', signed(next))).toMatch('does not follow')
  })

  // Goal: a network that changed its digests is followed across the change, and not back.
  test('the older digests count up to the boundary, and not after it', async () => {
    const boundMessageFromRound = START_ROUND + 240 + 10
    const boundPolicyFromEpoch = EPOCH + 2
    const boundaries = { boundMessageFromRound, boundPolicyFromEpoch }
    const older = await deployLightClient(world, { checkpoint: policy(EPOCH), ...boundaries })
    const policyBy = (epoch: number, chainId: bigint | null): CadenceValue[] =>
      policyArgs(policy(epoch), policyHash(policy(epoch), chainId), enough)
    const rootBy = (round: number, chainId: bigint | null): CadenceValue[] =>
      rootArgs(round, messageHash(round, ROOT, chainId), enough)
    const onlyWith = async (
      name: string,
      args: (chainId: bigint | null) => CadenceValue[],
      [right, wrong]: readonly (bigint | null)[],
    ): Promise<void> => {
      expect(await older.refused(name, args(wrong ?? null))).toMatch(SIGNATURE)
      await older.send(name, args(right ?? null))
    }
    const legacy = [null, CHAIN_ID] as const
    const bound = [CHAIN_ID, null] as const
    await onlyWith('anybody/submit_root', (id) => rootBy(START_ROUND, id), legacy)
    await onlyWith('anybody/submit_policy', (id) => policyBy(EPOCH + 1, id), legacy)
    await onlyWith('anybody/submit_root', (id) => rootBy(boundMessageFromRound - 1, id), legacy)
    await onlyWith('anybody/submit_root', (id) => rootBy(boundMessageFromRound, id), bound)
    await onlyWith('anybody/submit_policy', (id) => policyBy(EPOCH + 2, id), bound)
    expect(await older.run('get_light_client')).toMatchObject({ lastEpoch: BigInt(EPOCH + 2) })
  })
})

function rootArgs(round: number, hash: string, by: readonly (number | SignerOf)[]): CadenceValue[] {
  return [uint('UInt32', round), uint('UInt256', ROOT), ...signatures(hash, by)]
}

function policyArgs(
  policy: string,
  hash: string,
  by: readonly (number | SignerOf)[],
): CadenceValue[] {
  return [string(policy), ...signatures(hash, by)]
}

function itemsOf(value: CadenceValue | undefined): CadenceValue[] {
  return value?.value as CadenceValue[]
}
