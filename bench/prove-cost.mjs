import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { computeAddress, SigningKey, toBeHex } from 'ethers'
import {
  boundHash,
  FDC_PROTOCOL_ID,
  messageBytes,
  policyBytes,
  signHash,
} from '../dist/devnet/flare/formats.js'
import { array, optional, string, ufix64, uint } from '../dist/devnet/flow/cadence-json.js'
import { sendFile } from '../dist/devnet/flow/deploy.js'
import { startEmulator } from '../dist/devnet/flow/emulator.js'
import { cadenceSource } from '../dist/devnet/flow/sources.js'

// What it costs to bring roots and policies to Flow, in computation units, as the fee of a real
// transaction names them. Allowed: 1.15 times what the cheapest layout was measured at, and 25.

const CHAIN_ID = 114
const EPOCH = 6104
const ROUNDS_PER_EPOCH = 240
const START_ROUND = EPOCH * ROUNDS_PER_EPOCH
const TOTAL_WEIGHT = 65_535
const THRESHOLD = 32_768

/** Signatures, of a policy with 100 voters, and what the cheapest layout used. */
const ROOTS = [
  [3, 134],
  [25, 719],
  [45, 1251],
  [100, 2701],
]
/** Voters, signatures of the policy before, and what the cheapest layout used. */
const POLICIES = [
  [4, 3, 155],
  [18, 3, 201],
  [85, 25, 978],
  [100, 45, 1557],
]

/** @returns what each was, what it may be, and whether all are within that */
export async function measureCost() {
  const dir = await mkdtemp(join(tmpdir(), 'flowmeter-cost-'))
  const emulator = await startEmulator({ dir, blockTimeMs: 1000 })
  try {
    const client = emulator.client.with({ minesAtOnce: true })
    const roots = []
    for (const [signatures, best] of ROOTS) {
      const used = await rootCost(client, signatures)
      roots.push({ voters: 100, signatures, ...judged(used, best) })
    }
    const policies = []
    for (const [voters, signatures, best] of POLICIES) {
      const used = await policyCost(client, voters, signatures)
      policies.push({ voters, signatures, ...judged(used, best) })
    }
    return { ok: [...roots, ...policies].every(({ ok }) => ok), roots, policies }
  } finally {
    await emulator.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

function judged(units, best) {
  const unitsMax = Math.floor(best * 1.15 + 25)
  return { units, unitsMax, ok: units <= unitsMax }
}

/** The first `enough` voters of the policy suffice, and all `signatures` of them sign. */
async function rootCost(client, signatures) {
  const policy = policyOf(EPOCH, 100, Math.min(signatures, 45))
  const { send } = await lightClient(client, policyBytes(policy))
  const round = START_ROUND + 7
  const merkleRoot = toBeHex(0xabcdefn, 32)
  const message = { protocolId: FDC_PROTOCOL_ID, votingRoundId: round, isSecureRandom: false }
  const hash = boundHash(CHAIN_ID, messageBytes({ ...message, merkleRoot }))
  const args = [uint('UInt32', round), uint('UInt256', BigInt(merkleRoot))]
  return send('anybody/submit_root', [...args, ...signed(hash, signatures)])
}

async function policyCost(client, voters, signatures) {
  const { send } = await lightClient(client, policyBytes(policyOf(EPOCH, voters, signatures)))
  const next = policyBytes(policyOf(EPOCH + 1, voters, signatures))
  const hash = boundHash(CHAIN_ID, next)
  return send('anybody/submit_policy', [string(next.slice(2)), ...signed(hash, signatures)])
}

/** A light client in an account of its own, and transactions to it by somebody else. */
async function lightClient(plain, checkpoint) {
  const account = await plain.createAccount({ fundFlow: '10.0' })
  const stranger = await plain.createAccount({ fundFlow: '10.0' })
  const client = plain.with({ imports: { FlareLightClient: account.address } })
  const deployment = [
    string(cadenceSource('contracts/FlareLightClient')),
    uint('UInt64', CHAIN_ID),
    string(checkpoint.slice(2)),
    ...[0, ROUNDS_PER_EPOCH, 3].map((value) => uint('UInt32', value)),
    ufix64('86400.0'),
    optional(null),
    optional(null),
  ]
  await sendFile(client, 'governor/deploy_light_client', deployment, account)
  return {
    async send(name, args) {
      return Number((await sendFile(client, name, args, stranger)).computation)
    },
  }
}

/** The first `enough` voters weigh just above half together; one less of them does not. */
function policyOf(rewardEpochId, count, enough) {
  const each = Math.floor(33_000 / enough)
  const rest = TOTAL_WEIGHT - each * enough
  const other = Math.floor(rest / (count - enough))
  const weights = Array.from({ length: count }, (_, i) => (i < enough ? each : other))
  weights[count - 1] += rest - other * (count - enough)
  const voters = weights.map((weight, i) => ({ address: computeAddress(keyOf(i)), weight }))
  const startVotingRoundId = rewardEpochId * ROUNDS_PER_EPOCH
  return { rewardEpochId, startVotingRoundId, threshold: THRESHOLD, seed: 0x1234n, voters }
}

/** Signers, keys and signatures of the first voters. */
function signed(hash, count) {
  const indexes = Array.from({ length: count }, (_, i) => i)
  const keys = indexes.map((i) => keyOf(i).publicKey.slice(4))
  const signatures = indexes.map((i) => {
    const { r, s } = signHash(keyOf(i), hash)
    return r.slice(2) + s.slice(2)
  })
  return [
    array(indexes.map((i) => uint('UInt16', i))),
    array(keys.map(string)),
    array(signatures.map(string)),
  ]
}

function keyOf(index) {
  return new SigningKey(toBeHex(index + 1, 32))
}
