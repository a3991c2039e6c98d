import { readFileSync } from 'node:fs'
import { computeAddress } from 'ethers'
import { describe, expect, test } from 'vitest'
import {
  type DigestScheme,
  digestOf,
  enoughSignatures,
  messageHash,
  policyHash,
  policyVotesIn,
  readPolicy,
  relayCallsIn,
  type SigningPolicy,
  schemeOf,
} from '../../src/attestors/flare/signing-policy.js'
import { type Hex, hash, join } from '../../src/domain/bytes.js'

// relay.json holds what Flare's own contracts accepted and refused: calldata, hashes, reverts.
interface RelayItem {
  generation: DigestScheme
  name: string
  state: string
  calldata: Hex
  message?: Hex
  revert?: string
}
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/relay.json', import.meta.url), 'utf8'),
) as {
  chainId: number
  policies: { items: (Record<DigestScheme, Hex> & PolicyItem)[]; flare309BoundChain14: Hex }
  message: Record<DigestScheme, MessageItem>
  relay: { accepted: RelayItem[]; refused: RelayItem[] }
  signNewSigningPolicy: {
    items: { generation: DigestScheme; name: string; calldata: Hex; accepted: boolean }[]
  }
}
interface PolicyItem {
  name: string
  bytes: Hex
  rewardEpochId: number
  startVotingRoundId: number
  threshold: number
}
interface MessageItem {
  message: Hex
  pre: Hex
  digest: Hex
  signatures: { v: number; r: Hex; s: Hex; index: number }[]
}
const { chainId } = vectors
const schemes: readonly DigestScheme[] = ['legacy', 'bound']

function policyNamed(name: string): SigningPolicy {
  const item = vectors.policies.items.find((other) => other.name === name)
  const policy = item && readPolicy(item.bytes)
  if (policy === undefined) throw new Error(`no policy ${name}`)
  return policy
}

/** What the attestor makes of calldata: signatures enough for the policy, or not. */
function judged({ generation, calldata }: RelayItem): boolean {
  return relayCallsIn(calldata).some(({ policy, message, votes }) => {
    const item = vectors.policies.items.find(
      ({ rewardEpochId }) => rewardEpochId === policy.rewardEpoch,
    )
    if (item === undefined) return false
    const scheme = schemeOf(policy.bytes, hash(item[generation]), chainId)
    if (scheme === undefined) return false
    const digest = digestOf(messageHash(message, scheme, chainId))
    return enoughSignatures(policy, digest, votes) !== undefined
  })
}

describe('a signing policy', () => {
  test.each(vectors.policies.items)('$name is read and hashed as on chain', (item) => {
    const policy = readPolicy(join(item.bytes, '0xc8'))
    expect(policy).toMatchObject({
      bytes: item.bytes,
      rewardEpoch: item.rewardEpochId,
      startRound: item.startVotingRoundId,
      threshold: item.threshold,
    })
    for (const scheme of schemes) {
      expect(policyHash(item.bytes, scheme, chainId)).toBe(item[scheme])
      expect(schemeOf(item.bytes, hash(item[scheme]), chainId)).toBe(scheme)
    }
  })

  test('of Flare itself: 85 voters, bound to chain 14', () => {
    const { voters, bytes } = policyNamed('flare309')
    expect(voters).toHaveLength(85)
    expect(voters.reduce((sum, { weight }) => sum + weight, 0)).toBe(65_495)
    expect(policyHash(bytes, 'bound', 14)).toBe(vectors.policies.flare309BoundChain14)
    expect(schemeOf(bytes, hash(vectors.policies.flare309BoundChain14), 114)).toBeUndefined()
  })

  test('that is cut short is none', () => {
    const { bytes } = policyNamed('A')
    expect(readPolicy(bytes.slice(0, -2) as Hex)).toBeUndefined()
    expect(readPolicy('0x')).toBeUndefined()
    expect(readPolicy(`0x${'00'.repeat(43)}`)).toBeUndefined()
  })
})

describe('a message', () => {
  test.each(schemes)('is hashed and signed as the %s Relay checks it', (scheme) => {
    const { message, pre, digest, signatures } = vectors.message[scheme]
    expect(messageHash(message, scheme, chainId)).toBe(pre)
    expect(digestOf(hash(pre))).toBe(digest)
    const policy = policyNamed('A')
    const enough = enoughSignatures(policy, hash(digest), signatures)
    expect(enough?.map(({ index }) => index)).toEqual([0, 1])
    for (const [i, { index, publicKey, signature }] of (enough ?? []).entries()) {
      expect(computeAddress(`0x04${publicKey.slice(2)}`).toLowerCase()).toBe(
        policy.voters[index]?.address,
      )
      const { r = '0x', s = '0x' } = signatures[i] ?? {}
      expect(signature).toBe(join(r, s))
    }
  })
})

describe('relay() calldata', () => {
  const messages = vectors.relay.accepted.filter(
    (item) => item.message !== undefined && !item.name.startsWith('isSecureRandom'),
  )

  test.each(messages)('$generation $state, $name: enough signatures are found', (item) => {
    expect(judged(item)).toBe(true)
    const [call] = relayCallsIn(item.calldata)
    expect(call?.message).toBe(item.message)
    expect(call?.protocolId).toBe(200)
  })

  // What is wrong with these is the calldata itself, and not what the Relay knew at the time.
  const broken =
    /weight below|no signatures|duplicate|another voter|minus 27|byte changed|chain id 14|other gen|bare 32|cut by|equal to the threshold|mode 1|out of range/
  const refused = vectors.relay.refused.filter(({ name }) => broken.test(name))
  test.each(refused)('$generation, $name: refused there, not enough here', (item) => {
    expect(judged(item)).toBe(false)
  })

  test('is found inside the call of another contract', () => {
    const [item] = messages
    if (item === undefined) throw new Error('no message')
    const wrapped = join('0x12345678', `0x${'00'.repeat(63)}`, item.calldata, `0x${'ff'.repeat(9)}`)
    expect(relayCallsIn(wrapped)).toMatchObject([{ message: item.message }])
    expect(relayCallsIn('0x12345678')).toEqual([])
  })

  test('with more signatures than needed: the fewest, heaviest, in order', () => {
    const policy = policyNamed('B') // Weights 20002, 15500, 12000, 10033 and 8000 of 65535.
    const item = vectors.relay.accepted.find(({ name }) => name.includes('four signatures'))
    const [call] = relayCallsIn(item?.calldata ?? '0x')
    if (item === undefined || call === undefined) throw new Error('no such vector')
    expect(call.votes).toHaveLength(4)
    const digest = digestOf(messageHash(call.message, item.generation, chainId))
    const enough = enoughSignatures(policy, digest, [...call.votes].reverse()) ?? []
    const weights = enough.map(({ index }) => policy.voters[index]?.weight ?? 0)
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    expect(enough.length).toBeLessThan(call.votes.length)
    expect(total).toBeGreaterThan(policy.threshold)
    expect(total - Math.min(...weights)).toBeLessThanOrEqual(policy.threshold)
    const indices = enough.map(({ index }) => index)
    expect(indices).toEqual([...indices].sort((a, b) => a - b))
  })

  test('a high s is turned into the low one of the same signer', () => {
    const high = vectors.relay.accepted.find(({ name }) => name.startsWith('high s'))
    const [call] = relayCallsIn(high?.calldata ?? '0x')
    if (high === undefined || call === undefined) throw new Error('no such vector')
    const digest = digestOf(messageHash(call.message, high.generation, chainId))
    const half = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n
    expect(call.votes.some(({ s }) => BigInt(s) > half)).toBe(true)
    const signatures = enoughSignatures(call.policy, digest, call.votes) ?? []
    expect(signatures.length).toBeGreaterThan(0)
    for (const { signature } of signatures) {
      expect(BigInt(`0x${signature.slice(66)}`)).toBeLessThanOrEqual(half)
    }
  })
})

describe('votes for a policy', () => {
  test.each(schemes)('the accepted ones of the %s Relay suffice, the others do not', (scheme) => {
    const policy = policyNamed('A')
    const next = policyNamed('B')
    const expected = policyHash(next.bytes, scheme, chainId)
    const items = vectors.signNewSigningPolicy.items.filter((item) => item.generation === scheme)
    const votesOf = (isAccepted: boolean) =>
      items
        .filter(({ accepted, name }) => accepted === isAccepted && !/again|after|high s/.test(name))
        .flatMap(({ calldata }) => policyVotesIn(calldata))
        .filter((vote) => vote.policyHash === expected)
    const accepted = votesOf(true)
    expect(accepted.map(({ rewardEpoch }) => rewardEpoch)).toEqual([6105, 6105])
    // They came with index 1 first; a light client takes them in order.
    const enough = enoughSignatures(policy, digestOf(expected), accepted)
    expect(enough?.map(({ index }) => index)).toEqual([0, 1])
    expect(enoughSignatures(policy, digestOf(expected), votesOf(false))).toBeUndefined()
    expect(enoughSignatures(policy, digestOf(expected), accepted.slice(1))).toBeUndefined()
  })

  // Goal: whoever brings a voter's signature writes the rest of the input, and it must not stop whoever
  // reads it. Method: rubbish that has the selector, around a vote that counts.
  test('what the manager could not have taken is left out', () => {
    const [item] = vectors.signNewSigningPolicy.items.filter(({ accepted }) => accepted)
    if (item === undefined) throw new Error('no vote')
    const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`
    const most = word(2n ** 256n - 1n)
    const call = (epoch: Hex, v: Hex): Hex => join('0x6b4c7bd6', epoch, most, v, most, most)
    const rubbish = [call(most, word(27n)), call(word(6105n), most), call(word(6105n), word(29n))]
    const input = join(...rubbish, item.calldata, ...rubbish)
    expect(policyVotesIn(input)).toEqual(policyVotesIn(item.calldata))
  })
})

// Goal: an input as large as a node lets through costs no more than a moment, whatever is in it.
// Method: 128 KB full of calls that each claim a policy of the most voters; the real one is the last.
test('of an input full of decoys few are read, and the real call at its end is', () => {
  const item = vectors.relay.accepted.find(({ message }) => message !== undefined)
  if (item === undefined) throw new Error('no message')
  const decoys = `0x${'b59589d10bb8'.repeat(20_000)}` as Hex
  expect(relayCallsIn(join(decoys, item.calldata)).map(({ message }) => message)).toContain(
    item.message,
  )
  const voters = '01'.repeat(131_072 - 6)
  expect(readPolicy(`0x0bb8${voters}`)).toBeUndefined()
  expect(relayCallsIn(`0x${`b59589d1012c${'c8'.repeat(14)}`.repeat(6_000)}`).length).toBeLessThan(
    257,
  )
})
