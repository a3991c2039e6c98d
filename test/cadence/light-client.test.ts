import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, optional, string, uint } from '../../devnet/flow/cadence-json.js'
import { eventsNamed } from '../../devnet/flow/results.js'
import { word } from './batches.js'
import {
  messageHash,
  type PolicyParts,
  policyHash,
  policyHex,
  publicKey,
  type SignerOf,
  sign,
  signatures,
  VOTERS_A,
} from './flare.js'
import {
  CHAIN_ID,
  EPOCH,
  ROUNDS_PER_EPOCH,
  START_ROUND,
  startWorld,
  u64,
  type World,
} from './world.js'

interface Vectors {
  readonly policies: {
    readonly items: readonly {
      readonly name: string
      readonly bytes: string
      readonly legacy: string
      readonly bound: string
    }[]
    readonly flare309BoundChain14: string
  }
  readonly message: {
    readonly [generation in 'legacy' | 'bound']: {
      readonly message: string
      readonly pre: string
      readonly signatures: readonly { readonly r: string; readonly s: string }[]
    }
  }
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/relay.json', import.meta.url), 'utf8'),
) as Vectors

const ROOT = 0xabcdefn
const OTHER = 0x123456n

function bytesOf(name: string): string {
  const found = vectors.policies.items.find((policy) => policy.name === name)
  if (found === undefined) throw new Error(`no policy ${name}`)
  return found.bytes.slice(2)
}

describe('hashes', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world?.stop())

  test.each(vectors.policies.items)(
    'policy $name, both forms',
    async ({ bytes, legacy, bound }) => {
      expect(await world.run('hash_policy', [string(bytes), optional(u64(CHAIN_ID))])).toBe(
        BigInt(bound),
      )
      expect(await world.run('hash_policy', [string(bytes), optional(null)])).toBe(BigInt(legacy))
    },
  )

  test('a policy of 85 voters on Flare itself', async () => {
    const args = [string(bytesOf('flare309')), optional(u64(14n))]
    expect(await world.run('hash_policy', args)).toBe(BigInt(vectors.policies.flare309BoundChain14))
  })

  test.each(['bound', 'legacy'] as const)('a message, %s', async (generation) => {
    const { message, pre } = vectors.message[generation]
    const args = [
      uint('UInt32', Number(`0x${message.slice(4, 12)}`)),
      word(`0x${message.slice(14)}`),
      optional(generation === 'bound' ? u64(CHAIN_ID) : null),
    ]
    expect(await world.run('hash_message', args)).toBe(BigInt(pre))
  })
})

// One test goes on where the one before it stopped: rounds and policies only come, never go back.
describe('roots', () => {
  const round = START_ROUND + 7
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world?.stop())

  test('the vector of three voters is taken on chain as it is', async () => {
    const { message, signatures: signed } = vectors.message.bound
    const result = await world.send('anybody/submit_root', [
      uint('UInt32', Number(`0x${message.slice(4, 12)}`)),
      word(`0x${message.slice(14)}`),
      array([uint('UInt16', 0), uint('UInt16', 1)]),
      array([string(publicKey(1)), string(publicKey(2))]),
      array(signed.map(({ r, s }) => string(r.slice(2) + s.slice(2)))),
    ])
    expect(eventsNamed(result, 'FlareLightClient.RootAccepted')).toEqual([
      {
        round: 1_465_067n,
        merkleRoot: BigInt(`0x${message.slice(14)}`),
        epoch: 6104n,
        weight: 50_000n,
      },
    ])
  })

  test('weight must be above the threshold', async () => {
    expect(await world.refused('anybody/submit_root', rootArgs(round, ROOT, [0]))).toMatch(
      'A weight of 30000 is not above the threshold of 32768',
    )
    expect(await world.run('is_round_proven', [uint('UInt32', round)])).toEqual({
      merkleRoot: null,
      isPoisoned: false,
      epoch: BigInt(EPOCH),
    })
    await world.send('anybody/submit_root', rootArgs(round, ROOT, [1, 2]))
    expect(await world.run('is_round_proven', [uint('UInt32', round)])).toMatchObject({
      merkleRoot: ROOT,
    })
  })

  test('the same root again is a success without an event', async () => {
    const result = await world.send('anybody/submit_root', rootArgs(round, ROOT, []))
    expect(eventsNamed(result, 'FlareLightClient.RootAccepted')).toEqual([])
  })

  test('a second root poisons the round, but not without signatures', async () => {
    expect(await world.refused('anybody/submit_root', rootArgs(round, OTHER, [0]))).toMatch(
      'is not above the threshold',
    )
    const result = await world.send('anybody/submit_root', rootArgs(round, OTHER, [0, 2]))
    expect(eventsNamed(result, 'FlareLightClient.RoundPoisoned')).toEqual([
      { round: BigInt(round), merkleRoot: ROOT, other: OTHER },
    ])
    expect(await world.run('is_round_proven', [uint('UInt32', round)])).toMatchObject({
      merkleRoot: ROOT,
      isPoisoned: true,
    })
    const { epochs } = (await world.run('get_light_client', [])) as {
      readonly epochs: readonly { readonly poisonedRounds: readonly bigint[] }[]
    }
    expect(epochs.flatMap(({ poisonedRounds }) => poisonedRounds)).toEqual([BigInt(round)])
  })

  test.each<[string, (number | SignerOf)[], RegExp]>([
    ['a voter twice', [0, 0], /Signer 0 is out of order/],
    ['descending voters', [1, 0], /Signer 0 is out of order/],
    ["a position that is nobody's", [0, 3], /Signer 3 is out of order, or not one of 3/],
    ['a key of somebody else', [0, { index: 1, key: 9 }], /public key is not that of voter 1/],
    ['two voters who changed places', [{ index: 0, key: 2 }], /public key is not that of voter 0/],
  ])('%s is refused', async (_, by, why) => {
    const args = rootArgs(round + 1, ROOT, by)
    expect(await world.refused('anybody/submit_root', args)).toMatch(why)
  })

  test('what is no signature is refused with its reason', async () => {
    const args = rootArgs(round + 1, ROOT, [0, 1])
    const swapped = args.with(4, array([1, 0].map((i) => string(signedBy(round + 1, i)))))
    const short = args.with(4, array([0, 1].map((i) => string(signedBy(round + 1, i).slice(2)))))
    const noHex = args.with(4, array([0, 1].map(() => string('zz'.repeat(64)))))
    const fewer = args.with(3, array([string(publicKey(1))]))
    const refused = (bad: typeof args): Promise<string> => world.refused('anybody/submit_root', bad)
    expect(await refused(swapped)).toMatch('The signature is not one of voter 0')
    expect(await refused(short)).toMatch('The signature is not one of voter 0')
    expect(await refused(noHex)).toMatch('invalid byte in hex string')
    expect(await refused(fewer)).toMatch('2 signers, 1 keys and 2 signatures')
    expect(await refused(args.with(1, uint('UInt256', OTHER)))).toMatch('The signature is not one')
    expect(await refused(args.with(1, uint('UInt256', 0)))).toMatch('Zero is no root')
  })

  test('a round below the checkpoint or of an unknown policy is refused', async () => {
    for (const unknown of [START_ROUND - 1, START_ROUND + ROUNDS_PER_EPOCH]) {
      expect(await world.refused('anybody/submit_root', rootArgs(unknown, ROOT, [0, 1]))).toMatch(
        `No policy from 6104 to 6104 serves round ${unknown}`,
      )
    }
  })
})

describe('policies', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ checkpointDelaySeconds: 3_600 })
  })
  afterAll(() => world?.stop())

  /** The next epoch begins five rounds late. */
  const next = (epoch: number, more: Partial<PolicyParts> = {}): string =>
    policyHex({ epoch, startRound: epoch * ROUNDS_PER_EPOCH + 5, ...VOTERS_A, ...more })

  test('what Flare would not sign is refused', async () => {
    const refused = (policy: string): Promise<string> =>
      world.refused('anybody/submit_policy', policyArgs(policy, [0, 1]))
    expect(await refused(next(EPOCH + 2))).toMatch('Epoch 6106 does not follow 6104')
    expect(await refused(next(EPOCH + 1, { startRound: START_ROUND }))).toMatch(/is not after/)
    expect(await refused(next(EPOCH + 1, { weights: [1, 2, 65_533] }))).toMatch('add up to 65536')
    expect(await refused(next(EPOCH + 1, { threshold: 32_767 }))).toMatch('threshold of 32767')
    expect(await refused(next(EPOCH + 1, { threshold: 43_254 }))).toMatch('threshold of 43254')
    expect(await refused(next(EPOCH + 1).slice(2))).toMatch('108 bytes are no signing policy')
    expect(await refused(`0004${next(EPOCH + 1).slice(4)}`)).toMatch('says 4 voters and lists 3')
    expect(await world.refused('anybody/submit_policy', policyArgs(next(EPOCH + 1), [0]))).toMatch(
      'A weight of 30000 is not above',
    )
  })

  test('the next one serves from its own start on, and its predecessor up to there', async () => {
    const start = (EPOCH + 1) * ROUNDS_PER_EPOCH + 5
    const result = await world.send('anybody/submit_policy', policyArgs(next(EPOCH + 1), [0, 1]))
    const hash = BigInt(`0x${policyHash(next(EPOCH + 1), CHAIN_ID)}`)
    expect(eventsNamed(result, 'FlareLightClient.PolicyInstalled')).toEqual([
      { epoch: 6105n, startRound: BigInt(start), threshold: 32_768n, voters: 3n, hash },
    ])
    for (const [round, epoch] of [
      [start - 6, 6104n],
      [start - 1, 6104n],
      [start, 6105n],
    ] as const) {
      await world.send('anybody/submit_root', rootArgs(round, ROOT, [0, 1]))
      expect(await world.run('is_round_proven', [uint('UInt32', round)])).toEqual({
        merkleRoot: ROOT,
        isPoisoned: false,
        epoch,
      })
    }
  })

  test('the lowest goes when there are too many, and its rounds with it', async () => {
    const kept = START_ROUND + 3
    await world.send('anybody/submit_root', rootArgs(kept, ROOT, [0, 1]))
    await world.send('anybody/submit_policy', policyArgs(next(EPOCH + 2), [0, 1]))
    expect(await world.run('is_round_proven', [uint('UInt32', kept)])).toMatchObject({
      merkleRoot: ROOT,
    })
    await world.send('anybody/submit_policy', policyArgs(next(EPOCH + 3), [0, 1]))
    expect(await world.run('get_light_client')).toMatchObject({
      lowestRound: BigInt((EPOCH + 1) * ROUNDS_PER_EPOCH + 5),
      lastEpoch: BigInt(EPOCH + 3),
      epochs: [6105n, 6106n, 6107n].map((epoch) => ({ epoch, threshold: 32_768n, voters: 3n })),
    })
    expect(await world.run('is_round_proven', [uint('UInt32', kept)])).toMatchObject({
      merkleRoot: null,
      epoch: null,
    })
    expect(await world.refused('anybody/submit_root', rootArgs(kept, ROOT, [0, 1]))).toMatch(
      `No policy from 6105 to 6107 serves round ${kept}`,
    )
  })

  test('a checkpoint starts anew, after its delay, unless it was taken back', async () => {
    const policy = next(EPOCH + 50)
    const stranger = await world.client.createAccount()
    expect(await world.refused('governor/propose_checkpoint', [string(policy)], stranger)).toMatch(
      'holds no FlareLightClient.Governor',
    )
    await world.send('governor/propose_checkpoint', [string(policy)])
    await world.send('governor/cancel_checkpoint', [])
    expect(await world.refused('anybody/adopt_checkpoint', [], stranger)).toMatch('no proposal')

    await world.send('governor/propose_checkpoint', [string(policy)])
    expect(await world.run('get_light_client')).toMatchObject({
      checkpoint: { epoch: 6154n, hash: BigInt(`0x${policyHash(policy, CHAIN_ID)}`) },
    })
    expect(await world.refused('anybody/adopt_checkpoint', [], stranger)).toMatch('may be adopted')
    await world.client.moveClock(3_601_000)
    await world.send('anybody/adopt_checkpoint', [], stranger)
    expect(await world.run('get_light_client')).toMatchObject({
      checkpoint: null,
      lastEpoch: 6154n,
      epochs: [{ epoch: 6154n }],
    })

    // A forgotten proposal cannot bring old voters back, and a new one waits anew.
    for (const epoch of [EPOCH + 40, EPOCH + 50]) {
      await world.send('governor/propose_checkpoint', [string(next(epoch))])
      await world.client.moveClock(3_601_000)
      expect(await world.refused('anybody/adopt_checkpoint', [], stranger)).toMatch(
        `Epoch ${epoch} is not after ${EPOCH + 50}`,
      )
    }
    await world.send('governor/propose_checkpoint', [string(next(EPOCH + 60))])
    expect(await world.refused('anybody/adopt_checkpoint', [], stranger)).toMatch('may be adopted')
  })
})

// Goal: each digest counts on its own side of the boundary, and nowhere else.
describe('boundaries between the older digests and those bound to the chain', () => {
  const boundary = START_ROUND + 10
  let world: World
  beforeAll(async () => {
    world = await startWorld({ boundMessageFromRound: boundary, boundPolicyFromEpoch: EPOCH + 2 })
  })
  afterAll(() => world?.stop())

  test.each([
    [boundary - 1, null, CHAIN_ID],
    [boundary, CHAIN_ID, null],
  ] as const)('the message of round %s', async (round, right, wrong) => {
    const args = (chainId: bigint | null) => rootArgs(round, ROOT, [0, 1], chainId)
    expect(await world.refused('anybody/submit_root', args(wrong))).toMatch(/signature is not one/)
    await world.send('anybody/submit_root', args(right))
  })

  test.each([
    [EPOCH + 1, null, CHAIN_ID],
    [EPOCH + 2, CHAIN_ID, null],
  ] as const)('the policy of epoch %s', async (epoch, right, wrong) => {
    const policy = policyHex({ epoch, startRound: epoch * ROUNDS_PER_EPOCH, ...VOTERS_A })
    const args = (chainId: bigint | null) => policyArgs(policy, [0, 1], chainId)
    expect(await world.refused('anybody/submit_policy', args(wrong))).toMatch(/signature is not/)
    await world.send('anybody/submit_policy', args(right))
  })
})

function rootArgs(
  round: number,
  root: bigint,
  by: readonly (number | SignerOf)[],
  chainId: bigint | null = CHAIN_ID,
) {
  const signed = signatures(messageHash(round, root, chainId), by)
  return [uint('UInt32', round), uint('UInt256', root), ...signed]
}

function signedBy(round: number, index: number): string {
  return sign(index + 1, messageHash(round, ROOT, CHAIN_ID))
}

function policyArgs(policy: string, by: readonly number[], chainId: bigint | null = CHAIN_ID) {
  return [string(policy), ...signatures(policyHash(policy, chainId), by)]
}
