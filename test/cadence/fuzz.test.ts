import { afterAll, beforeAll, expect, test } from 'vitest'
import { MerkleTree } from '../../devnet/flare/merkle.js'
import { array, type CadenceValue, string, uint } from '../../devnet/flow/cadence-json.js'
import { Random } from '../../devnet/litellm/random.js'
import { type Hash, type Hex, hash, keccak, u256 } from '../../src/domain/bytes.js'
import { rootFromPath } from '../../src/domain/merkle.js'
import { type Answer, answerArgs, type Header, headerArgs, responseBytes, word } from './batches.js'
import { policyHex, publicKey, sign, voterAddress, weightsOf } from './flare.js'
import { type Brought, policyRead, type VoterOf, weighed } from './verdicts.js'
import { EPOCH, START_ROUND, startWorld, type World } from './world.js'

// Goal: whatever is brought, the contracts and the rules written down a second time in TypeScript
// come to the same verdict, and none of it stops the contracts in a way that is not theirs.
// Method: seeded inputs, most of them right but for one thing, many in each script on the contracts'
// pure functions: an input that made them panic would fail its script. Text is hexadecimal.

const SEED = 20_261_129
const SETS = 15_000
const POLICIES = 3_000
const ATTESTATIONS = 3_000
const SETS_A_SCRIPT = 500
const POLICIES_A_SCRIPT = 500
const ATTESTATIONS_A_SCRIPT = 375
/** Of the sets of signatures, so many are brought as transactions too. */
const TRANSACTIONS = 6

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.stop())

// ---- signatures

const HASHES = [1, 2, 3].map((n) => keccak(u256(BigInt(n))).slice(2))
/** The order of secp256k1: r and n - s sign as well as r and s. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

interface Voters {
  readonly policy: string
  readonly voters: readonly VoterOf[]
  readonly threshold: number
  /** The first of them, who weigh as much as the threshold. */
  readonly exact: number
}

function votersOf(count: number, exact: number): Voters {
  const weights = weightsOf(count, exact)
  const threshold = weights.slice(0, exact).reduce((sum, weight) => sum + weight, 0)
  const voters = weights.map((weight, i) => ({ address: voterAddress(i + 1), weight }))
  const policy = policyHex({ epoch: EPOCH, startRound: START_ROUND, threshold, weights })
  return { policy, voters, threshold, exact }
}

/** By voter and hash: signing is dear. */
const signed = new Map<string, string>()
function signature(voter: number, of: string): string {
  const name = `${voter} ${of}`
  const made = signed.get(name) ?? sign(voter + 1, of)
  signed.set(name, made)
  return made
}

/** Signatures of some voters, mostly in order and mostly right. */
function someSignatures(random: Random, { voters, exact }: Voters): Brought {
  const of = random.pick(HASHES)
  // A few more than are needed: a script may use so much and no more.
  const share = random.pick([0.3, 0.7, 1])
  const signers = voters.flatMap((_, i) => (random.next() < (i <= exact ? share : 0.15) ? [i] : []))
  const right = {
    hash: of,
    signers,
    publicKeys: signers.map((i) => publicKey(i + 1)),
    signatures: signers.map((i) => signature(i, of)),
  }
  if (random.next() < 0.3) return right
  const once = changed(random, right, voters.length)
  return random.next() < 0.2 ? changed(random, once, voters.length) : once
}

function changed(random: Random, brought: Brought, count: number): Brought {
  const { signers, publicKeys, signatures } = brought
  const at = random.whole(0, Math.max(0, signers.length - 1))
  const other = random.whole(0, count - 1)
  const key = publicKeys[at] ?? ''
  const made = signatures[at] ?? ''
  const withKey = (hex: string): Brought => ({ ...brought, publicKeys: put(publicKeys, at, hex) })
  const withMade = (hex: string): Brought => ({ ...brought, signatures: put(signatures, at, hex) })
  const flipped = (hex: string): string => {
    const place = random.whole(0, Math.max(0, hex.length - 1))
    return hex.slice(0, place) + random.hex(1) + hex.slice(place + 1)
  }
  return random.pick<() => Brought>([
    () => ({ ...brought, signers: put(signers, at, other) }),
    () => ({ ...brought, signers: put(signers, at, random.whole(count, 65_535)) }),
    () => ({ ...brought, signers: [...signers].reverse() }),
    () => ({ ...brought, signers: signers.slice(1) }),
    () => ({ ...brought, publicKeys: [...publicKeys, publicKey(other + 1)] }),
    () => ({ ...brought, signatures: signatures.slice(1) }),
    () => ({ ...brought, hash: random.pick(HASHES) }),
    () => withKey(publicKey(other + 1)),
    () => withKey(flipped(key)),
    () => withKey(key.toUpperCase()),
    () => withKey(random.pick(['', `04${key}`, key.slice(2), 'ff'.repeat(64), '00'.repeat(64)])),
    () => withMade(signature(other, brought.hash)),
    () => withMade(flipped(made)),
    () => withMade(made.toUpperCase()),
    () => withMade(otherS(made)),
    () => withMade(random.pick(['', `${made}1b`, made.slice(2), '00'.repeat(64), 'ff'.repeat(64)])),
    () => withMade(made.slice(0, 64) + random.pick(['00', 'ff']).repeat(32)),
  ])()
}

function put<Item>(items: readonly Item[], at: number, item: Item): Item[] {
  return at < items.length ? items.with(at, item) : [...items]
}

function otherS(made: string): string {
  if (made.length !== 128) return made
  const s = (ORDER - BigInt(`0x${made.slice(64)}`)) % 2n ** 256n
  return s < 0n ? made : made.slice(0, 64) + s.toString(16).padStart(64, '0')
}

/** Texts come in a table: most of them are brought many times. */
const WEIGH = `
  import "FlareLightClient"
  access(all) fun main(
    policy: String, hashes: [UInt256], signers: [[UInt16]],
    texts: [String], publicKeys: [[Int]], signatures: [[Int]]
  ): [String] {
    let read = FlareLightClient.Policy(policy, chainId: 114, boundFromEpoch: 0)
    let pick = fun(_ numbers: [Int]): [String] {
      let picked: [String] = []
      for number in numbers { picked.append(texts[number]) }
      return picked
    }
    let verdicts: [String] = []
    for i, hash in hashes {
      let verdict = read.weigh(
        hash, signers: signers[i], publicKeys: pick(publicKeys[i]), signatures: pick(signatures[i])
      )
      verdicts.append("\\(verdict.weight) \\(verdict.refusal ?? "enough")")
    }
    return verdicts
  }`

async function weighOnFlow({ policy }: Voters, sets: readonly Brought[]): Promise<unknown> {
  const texts = new Map<string, number>()
  const place = (text: string): CadenceValue => {
    if (!texts.has(text)) texts.set(text, texts.size)
    return uint('Int', texts.get(text) ?? 0)
  }
  const args = [
    string(policy),
    array(sets.map((set) => word(`0x${set.hash}`))),
    array(sets.map(({ signers }) => array(signers.map((signer) => uint('UInt16', signer))))),
    array([]),
    array(sets.map(({ publicKeys }) => array(publicKeys.map(place)))),
    array(sets.map(({ signatures }) => array(signatures.map(place)))),
  ]
  return world.client.script(WEIGH, args.with(3, array([...texts.keys()].map(string))))
}

test(`${SETS} sets of signatures weigh the same`, async () => {
  const random = new Random(SEED)
  const policies = [votersOf(4, 3), votersOf(5, 2), votersOf(6, 4), votersOf(18, 3)]
  const seen = new Map<string, number>()
  for (let done = 0; done < SETS; done += SETS_A_SCRIPT) {
    const policy = policies[(done / SETS_A_SCRIPT) % policies.length] as Voters
    const sets = Array.from({ length: SETS_A_SCRIPT }, () => someSignatures(random, policy))
    const expected = sets.map((set) => weighed(policy.voters, policy.threshold, set))
    expect(await weighOnFlow(policy, sets)).toEqual(expected)
    for (const verdict of expected) {
      const kind = verdict.replace(/\d+/g, '#')
      seen.set(kind, (seen.get(kind) ?? 0) + 1)
    }
  }
  // All six ends were met, and often.
  expect(seen.size).toBe(6)
  for (const count of seen.values()) expect(count).toBeGreaterThan(SETS / 100)
})

test(`${TRANSACTIONS} of them as transactions end in words of the contract`, async () => {
  const random = new Random(SEED + 1)
  const policy = votersOf(5, 2)
  for (let i = 0; i < TRANSACTIONS; i += 1) {
    const { signers, publicKeys, signatures } = changed(random, someSignatures(random, policy), 5)
    const args = [
      uint('UInt32', random.whole(0, 2 ** 32 - 1)),
      uint('UInt256', random.whole(0, 3)),
      array(signers.map((signer) => uint('UInt16', signer))),
      array(publicKeys.map(string)),
      array(signatures.map(string)),
    ]
    const why = await world.refused('anybody/submit_root', args)
    expect(why).toMatch(/(panic|assertion failed|pre-condition failed): FlareLightClient\./)
  }
})

// ---- policies

const READ = `
  import "FlareLightClient"
  access(all) fun main(policies: [String]): [String] {
    let read: [String] = []
    for policy in policies {
      let p = FlareLightClient.Policy(policy, chainId: 114, boundFromEpoch: 0)
      read.append("\\(p.epoch) \\(p.startRound) \\(p.threshold) \\(p.voters.length) \\(p.problem() ?? "fine")")
    }
    return read
  }`

/** Mostly a policy that Flare might set, but for a few digits or a voter. */
function somePolicy(random: Random): string {
  const count = random.whole(1, 12)
  const weights = Array.from({ length: count }, () => random.whole(0, Math.floor(70_000 / count)))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const threshold = Math.min(65_535, Math.round(total * random.pick([0.49, 0.5, 0.6, 0.66, 0.67])))
  const parts = { epoch: random.whole(0, 2 ** 24 - 1), startRound: random.whole(0, 2 ** 32 - 1) }
  const small = weights.map((weight) => Math.min(weight, 65_535))
  const hex = policyHex({ ...parts, threshold, weights: small })
  if (random.next() < 0.5) return hex
  const at = random.whole(0, hex.length - 1)
  return random.pick([
    () => hex.slice(0, at) + random.hex(1) + hex.slice(at + 1),
    () => hex.slice(0, 86) + hex.slice(86).toUpperCase(),
    () => hex + hex.slice(-44),
    () => random.hex(hex.length),
  ])()
}

test(`${POLICIES} policies are read the same`, async () => {
  const random = new Random(SEED + 2)
  for (let done = 0; done < POLICIES; done += POLICIES_A_SCRIPT) {
    const policies = Array.from({ length: POLICIES_A_SCRIPT }, () => somePolicy(random))
    const read = await world.client.script(READ, [array(policies.map(string))])
    const expected = policies.map(policyRead)
    expect(read).toEqual(expected)
    expect(expected.filter((verdict) => verdict.endsWith('fine')).length).toBeGreaterThan(20)
  }
})

// ---- attestations

/** The leaf that acceptBatch would build, and whether it is under the root. */
const PROVE = `
  import "FlareLightClient"
  import "UsageBatches"
  access(all) fun main(
    meters: [UInt256], words: [[UInt256]], flags: [[Bool]], proofs: [[UInt256]], roots: [UInt256]
  ): [String] {
    let verdicts: [String] = []
    for i, meter in meters {
      let w = words[i]
      let leaf = UsageBatches.attestationLeaf(
        meter: meter,
        header: UsageBatches.Header(
          seq: UInt64(w[0]), root: w[1], prevRoot: w[2], sealedAt: UInt64(w[3]), manifest: w[4]
        ),
        attestation: UsageBatches.Attestation(
          round: UInt32(w[5]), lowestUsedTimestamp: UInt64(w[6]), transactionHash: w[7],
          requiredConfirmations: UInt16(w[8]), logIndex: UInt32(w[9]), blockNumber: UInt64(w[10]),
          timestamp: UInt64(w[11]), sourceAddress: w[12], isDeployment: flags[i][0],
          receivingAddress: w[13], value: w[14], hasInputByte: flags[i][1]
        )
      )
      verdicts.append("\\(leaf) \\(FlareLightClient.rootFromPath(leaf, proofs[i]) == roots[i])")
    }
    return verdicts
  }`

interface Case {
  readonly meter: Hex
  readonly header: Header
  readonly answer: Answer
  readonly proof: readonly Hash[]
  readonly root: Hash
}

/** A number of so many bits, with its edges more often than chance has it. */
function bits(random: Random, count: number): bigint {
  const most = 2n ** BigInt(count) - 1n
  const any = BigInt(`0x${random.hex(Math.ceil(count / 4))}`) & most
  return random.pick([0n, 1n, most, any, any, any])
}

function bytesOf(random: Random, count: number): Hex {
  return `0x${bits(random, 8 * count)
    .toString(16)
    .padStart(2 * count, '0')}`
}

function someAttestation(random: Random, target: Hash): Case {
  const h = (): Hash => hash(bytesOf(random, 32))
  const header = {
    ...{ seq: bits(random, 64), root: h(), prevRoot: h(), sealedAt: bits(random, 64) },
    ...{ target, manifest: h() },
  }
  const answer = {
    ...{ round: Number(bits(random, 32)), lowestUsedTimestamp: bits(random, 64) },
    ...{ transactionHash: h(), requiredConfirmations: Number(bits(random, 16)) },
    ...{ logIndex: Number(bits(random, 32)), blockNumber: bits(random, 64) },
    ...{ timestamp: bits(random, 64), sourceAddress: bytesOf(random, 20) },
    ...{ isDeployment: random.next() < 0.5, receivingAddress: bytesOf(random, 20) },
    ...{ value: bits(random, 256), hasInputByte: random.next() < 0.5 },
  }
  const meter = bytesOf(random, 20)
  const leaf = keccak(responseBytes(meter, header, answer))
  const others = Array.from({ length: random.whole(0, 6) }, () => h())
  const tree = new MerkleTree([leaf, ...others])
  const right = {
    meter,
    header,
    answer,
    proof: tree.proof(leaf) as Hash[],
    root: tree.root as Hash,
  }
  return random.next() < 0.4 ? right : withOneChange(random, right)
}

function withOneChange(random: Random, right: Case): Case {
  const { header, answer, proof } = right
  return random.pick<() => Case>([
    () => ({ ...right, meter: bytesOf(random, 20) }),
    () => ({ ...right, header: { ...header, seq: bits(random, 64) } }),
    () => ({ ...right, header: { ...header, root: hash(bytesOf(random, 32)) } }),
    () => ({
      ...right,
      header: { ...header, manifest: header.prevRoot, prevRoot: header.manifest },
    }),
    () => ({ ...right, answer: { ...answer, round: Number(bits(random, 32)) } }),
    () => ({ ...right, answer: { ...answer, hasInputByte: !answer.hasInputByte } }),
    () => ({ ...right, answer: { ...answer, timestamp: bits(random, 64) } }),
    () => ({ ...right, answer: { ...answer, logIndex: Number(bits(random, 32)) } }),
    () => ({ ...right, proof: proof.slice(1) }),
    () => ({ ...right, proof: [...proof, hash(bytesOf(random, 32))] }),
    () => ({ ...right, proof: [...proof].reverse() }),
    () => ({ ...right, root: hash(bytesOf(random, 32)) }),
  ])()
}

function proofArgs(cases: readonly Case[]): CadenceValue[] {
  // As accept_batch takes them, all as words: without the two flags, and the round after the header.
  const wordsOf = ({ header, answer }: Case): CadenceValue[] => {
    const words = [...headerArgs(header), uint('UInt32', answer.round), ...answerArgs(answer)]
    return words.flatMap(({ type, value }) =>
      type === 'Bool' ? [] : uint('UInt256', BigInt(String(value))),
    )
  }
  const flag = (value: boolean): CadenceValue => ({ type: 'Bool', value })
  return [
    array(cases.map(({ meter }) => word(meter))),
    array(cases.map((one) => array(wordsOf(one)))),
    array(cases.map(({ answer: a }) => array([flag(a.isDeployment), flag(a.hasInputByte)]))),
    array(cases.map(({ proof }) => array(proof.map(word)))),
    array(cases.map(({ root }) => word(root))),
  ]
}

test(`${ATTESTATIONS} attestations prove the same`, async () => {
  const random = new Random(SEED + 3)
  const { hash: targetNumber } = (await world.run('get_target')) as { readonly hash: bigint }
  const target = hash(u256(targetNumber))
  for (let done = 0; done < ATTESTATIONS; done += ATTESTATIONS_A_SCRIPT) {
    const cases = Array.from({ length: ATTESTATIONS_A_SCRIPT }, () =>
      someAttestation(random, target),
    )
    const expected = cases.map(({ meter, header, answer, proof, root }) => {
      const leaf = keccak(responseBytes(meter, header, answer))
      return `${BigInt(leaf)} ${rootFromPath(leaf, proof) === root}`
    })
    expect(await world.client.script(PROVE, proofArgs(cases))).toEqual(expected)
    const proven = expected.filter((verdict) => verdict.endsWith('true')).length
    expect(proven).toBeGreaterThan(ATTESTATIONS_A_SCRIPT / 4)
    expect(proven).toBeLessThan(ATTESTATIONS_A_SCRIPT * 0.75)
  }
})
