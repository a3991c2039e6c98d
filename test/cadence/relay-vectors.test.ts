import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { array, type CadenceValue, string, uint } from '../../devnet/flow/cadence-json.js'
import type { FlowClient } from '../../devnet/flow/client.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import type { Signer } from '../../devnet/flow/transaction.js'
import { word } from './batches.js'
import { policyHash, publicKey, signatures } from './flare.js'
import { CHAIN_ID, startWorld, type World } from './world.js'

// Goal: the light client agrees with Flare's own contracts about what is signed well enough.
// Method: bring what those took and refused, each to a client of its own. Where the two must
// differ, the table says so: the client finds the policy by the round, wants the next policy
// instead of more weight, and takes keys and positions instead of v.

interface Item {
  readonly generation: string
  readonly state: string
  readonly name: string
  readonly calldata: string
}

interface Vectors {
  readonly policies: { readonly items: readonly { readonly name: string; bytes: string }[] }
  readonly relay: { readonly accepted: readonly Item[]; readonly refused: readonly Item[] }
}

const { policies, relay } = JSON.parse(
  readFileSync(new URL('../vectors/relay.json', import.meta.url), 'utf8'),
) as Vectors

const NEEDS_NEXT = /No policy from 6104 to \d+ serves round/
const NO_WEIGHT = /A weight of \d+ is not above the threshold/
const ORDER = /Signer \d+ is out of order, or not one of/
const SIGNATURE = /The signature is not one of voter/

/** What the client makes of what Flare took: the same, unless it is listed here. */
const takenByFlareAlone: Readonly<Record<string, RegExp>> = {
  'round 1465200 (nominal 6105, A is the last policy), weight 50000 > 39321': NEEDS_NEXT,
  'round 1469999 (nominal 6124, A is the last policy), weight 50000': NEEDS_NEXT,
  'B for round 1465440 (nominal 6106, B last), weight 39322 (five-voter policy, four signatures)':
    NEEDS_NEXT,
}

const NO_COUNTERPART = 'no counterpart'

/** What the client makes of what Flare refused. */
const refusedByFlare: Readonly<Record<string, RegExp | 'taken' | typeof NO_COUNTERPART>> = {
  'no signatures': NO_WEIGHT,
  'weight below threshold (index 0 only)': NO_WEIGHT,
  'duplicate index': ORDER,
  'unsorted indices': ORDER,
  'signature of another voter at index 1': SIGNATURE,
  'index out of range': ORDER,
  'v minus 27': NO_COUNTERPART, // There is no v.
  'count larger than the signatures': NO_COUNTERPART, // There is no count.
  'policy byte changed': NO_COUNTERPART, // The client has the policy.
  'unknown policy (B, not set)': ORDER,
  'signatures over chain id 14 bound digest': SIGNATURE,
  'signatures of the other generation': SIGNATURE,
  'signatures over the bare 32 bytes without the prefix': SIGNATURE,
  'message cut by one byte and no signatures': NO_COUNTERPART, // The client builds the message.
  'mode 1 policy relay on a home Relay': NO_COUNTERPART, // The client has no modes.
  'round 1464959 (nominal epoch 6103, one below the policy)': NEEDS_NEXT,
  'round 1464999 (nominal epoch 6104, before start 1465000)': NEEDS_NEXT,
  'same message again': NO_COUNTERPART, // In light-client.test.ts: a success.
  'same round, other root': NO_COUNTERPART, // In light-client.test.ts: it poisons the round.
  'high s with flipped v': 'taken', // The same voter over the same message.
  'isSecureRandom 1 for protocol 200': SIGNATURE,
  'zero root': /Zero is no root/,
  'round 1465200 (nominal 6105, A is the last policy), weight 35535 > 32768 but <= 39321':
    NEEDS_NEXT,
  'A for round 1465205 (start of B)': NO_WEIGHT,
  'B for round 1465204 (one before its start)': ORDER,
  'B for round 1465205, weight 32768 equal to the threshold': NO_WEIGHT,
  'B for round 1465440 (nominal 6106, B last), weight 39321 equal to floor(1.2 x 32768)':
    NEEDS_NEXT,
  'B for round 1465199 (nominal 6104, below the policy)': ORDER,
  'A for round 1465101, 6104 + 1 < 6106 last': /No policy from 6105 to 6106 serves round/,
  'mode 1: B signed by index 0 of A only': NO_WEIGHT,
  'mode 1: C (epoch 6106) signed by A, not the next epoch': /Epoch 6106 does not follow 6104/,
  'mode 1: threshold 32767 of 65535 (below 50 %)': /threshold of 32767 does not fit/,
  'mode 1: threshold 43254 of 65535 (above 66 %)': /threshold of 43254 does not fit/,
  'mode 1: weights sum to 65536': /weights add up to 65536/,
  'mode 1: no voters': /43 bytes are no signing policy/,
  'mode 1: B signed with the hash of the other generation': SIGNATURE,
  'mode 1: B again': NO_COUNTERPART, // In light-client.test.ts: it does not follow.
}

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.stop())

const bound = (items: readonly Item[]): Item[] =>
  items.filter(({ generation }) => generation === 'bound')

describe('taken by Flare', () => {
  test.each(bound(relay.accepted))('$state: $name', async (item) => {
    const error = await bring(item)
    const expected = takenByFlareAlone[item.name]
    if (expected === undefined) expect(error).toBeNull()
    else expect(error).toMatch(expected)
  })
})

describe('refused by Flare', () => {
  test('every vector is in the table', () => {
    expect(bound(relay.refused).map(({ name }) => name)).toEqual(Object.keys(refusedByFlare))
  })

  const items = bound(relay.refused).filter(({ name }) => refusedByFlare[name] !== NO_COUNTERPART)
  test.each(items)('$state: $name', async (item) => {
    const error = await bring(item)
    const expected = refusedByFlare[item.name]
    if (expected === 'taken') expect(error).toBeNull()
    else expect(error).toMatch(expected as RegExp)
  })
})

/** Brings an item to a new client in the item's state. @returns why it was refused; null: taken. */
async function bring({ state, calldata }: Item): Promise<string | null> {
  const { client, account } = await lightClient(state)
  const { cadence, args } = argumentsOf(calldata)
  return (await client.send({ cadence, args, signers: [account] })).error
}

/** A client that starts from policy A and has got the others of the state. */
async function lightClient(state: string): Promise<{ client: FlowClient; account: Signer }> {
  const account = await world.client.createAccount({ fundFlow: '10.0' })
  const client = world.client.with({ imports: { FlareLightClient: account.address } })
  const send = async (name: string, args: CadenceValue[]): Promise<void> => {
    const cadence = cadenceSource(`transactions/${name}`)
    await client.sendOrThrow({ cadence, args, signers: [account] })
  }
  const epochsKept = state.endsWith('window 1') ? 2 : 5
  await send('governor/deploy_light_client', [
    string(cadenceSource('contracts/FlareLightClient')),
    uint('UInt64', CHAIN_ID),
    string(policyBytes('A')),
    ...[0, 240, epochsKept].map((value) => uint('UInt32', value)),
    { type: 'UFix64', value: '0.0' },
    { type: 'Optional', value: null },
    { type: 'Optional', value: null },
  ])
  const order = ['A', 'B', 'C']
  for (const name of order.slice(1).filter((later) => state.includes(later))) {
    const bytes = policyBytes(name)
    // Voters of A have the keys 1, 2, 3 in this order, those of B 1 to 5.
    const signers = name === 'B' ? [0, 1] : [0, 1, 2, 3]
    const signed = signatures(policyHash(bytes, CHAIN_ID), signers)
    await send('anybody/submit_policy', [string(bytes), ...signed])
  }
  return { client, account }
}

function policyBytes(name: string): string {
  return policies.items.find((policy) => policy.name === name)?.bytes.slice(2) ?? ''
}

/** What a relayer makes of `relay()` calldata: policy, message or next policy, signatures. */
function argumentsOf(calldata: string): { cadence: string; args: CadenceValue[] } {
  const bytes = Buffer.from(calldata.slice(10), 'hex')
  const policy = bytes.subarray(0, policyLength(bytes))
  const rest = bytes.subarray(policy.length)
  if (rest[0] !== 0) {
    const args = [uint('UInt32', rest.readUInt32BE(1)), word(`0x${hex(rest.subarray(6, 38))}`)]
    const cadence = cadenceSource('transactions/anybody/submit_root')
    return { cadence, args: [...args, ...signersOf(policy, rest.subarray(38))] }
  }
  const next = rest.subarray(1, 1 + policyLength(rest.subarray(1)))
  const cadence = cadenceSource('transactions/anybody/submit_policy')
  const signed = signersOf(policy, rest.subarray(1 + next.length))
  return { cadence, args: [string(hex(next)), ...signed] }
}

function policyLength(bytes: Buffer): number {
  return 43 + 22 * bytes.readUInt16BE(0)
}

/** As Flare does, it stops reading as soon as the weight is enough. */
function signersOf(policy: Buffer, packed: Buffer): CadenceValue[] {
  const threshold = policy.readUInt16BE(9)
  const taken: { index: number; signature: string }[] = []
  let weight = 0
  for (let i = 0; i < packed.readUInt16BE(0) && weight <= threshold; i += 1) {
    const signature = packed.subarray(2 + i * 67, 69 + i * 67)
    const index = signature.readUInt16BE(65)
    taken.push({ index, signature: hex(signature.subarray(1, 65)) })
    weight += index < policy.readUInt16BE(0) ? policy.readUInt16BE(43 + index * 22 + 20) : 0
  }
  return [
    array(taken.map(({ index }) => uint('UInt16', index))),
    array(taken.map(({ index }) => string(publicKeyAt(policy, index)))),
    array(taken.map(({ signature }) => string(signature))),
  ]
}

/** Test keys are 1, 2, 3, …: the one whose address the policy has at the position. */
function publicKeyAt(policy: Buffer, index: number): string {
  const address = hex(policy.subarray(43 + index * 22, 63 + index * 22))
  const keys = [1, 2, 3, 4, 5, 6, 7, 8].map((key) => publicKey(key))
  return keys.find((key) => addressOf(key) === address) ?? publicKey(1)
}

function addressOf(key: string): string {
  return policyHash(key, null).slice(24)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
