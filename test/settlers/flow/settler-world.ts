import { policyBytes } from '../../../devnet/flare/formats.js'
import { optional, uint } from '../../../devnet/flow/cadence-json.js'
import {
  deployContracts,
  openVaults,
  sendFile,
  setFlowPrice,
  setUpProvider,
} from '../../../devnet/flow/deploy.js'
import { DEFAULT_PLAN } from '../../../devnet/flow/plan.js'
import { type BatchHeader, targetOf } from '../../../src/domain/batch.js'
import { type Hash, type Hex, keccak, utf8, ZERO_HASH } from '../../../src/domain/bytes.js'
import {
  CHUNK_MAX,
  chunkHash,
  chunksOf,
  compareEntries,
  type Entry,
  entryBytes,
  entryLeaf,
} from '../../../src/domain/entry.js'
import { batchSeq } from '../../../src/domain/ids.js'
import { merklePath, merkleRoot } from '../../../src/domain/merkle.js'
import { periodAt } from '../../../src/domain/period.js'
import type { EntryRun } from '../../../src/domain/proof.js'
import { FlowSettler } from '../../../src/settlers/flow/settler.js'
import type { ProvenBatch, SettlerWorld } from '../../ports/settler-contract.js'
import {
  ANCHOR,
  attest,
  CHAIN_ID,
  FIRST_EPOCH,
  METER,
  policyOf,
  policyProofOf,
  ROUNDS_PER_EPOCH,
} from './flare-proofs.js'
import { type Chain, configOf, startChain } from './world.js'

const WAD = 10n ** 18n

export interface FlowWorld extends SettlerWorld {
  readonly settler: FlowSettler
  readonly chain: Chain
  readonly deployed: Awaited<ReturnType<typeof deployContracts>>
  readonly provider: Awaited<ReturnType<typeof setUpProvider>>
}

/** The real contracts on an emulator; what Flare would sign is signed here. */
export async function beginFlowWorld(): Promise<FlowWorld> {
  const chain = await startChain()
  const plain = chain.emulator.client.with({ minesAtOnce: true })
  const deployed = await deployContracts(plain, {
    chainId: BigInt(CHAIN_ID),
    checkpoint: policyBytes(policyOf(FIRST_EPOCH)),
    firstEpochStartRound: 0,
    roundsPerEpoch: ROUNDS_PER_EPOCH,
    epochsKept: 4,
    anchor: ANCHOR,
    sourceId: 'testFLR',
  })
  await setFlowPrice(deployed, {
    currency: 'USD',
    price: WAD / 2n,
    minimum: WAD / 100n,
    maximum: 100n * WAD,
    maxAgeSeconds: 3_600,
  })
  const plan = { ...DEFAULT_PLAN, noticeSeconds: 0 } // A vault can be closed at once.
  const provider = await setUpProvider(deployed.client, { meter: METER, plan })
  const vaults = await openVaults(deployed.client, provider, [
    { deposit: '25.0' },
    { deposit: '2.0' }, // Less than it will owe.
  ])
  const [first = 0n, second = 0n] = vaults.map(({ number }) => number)
  const settlerOf = async (): Promise<FlowSettler> => {
    const account = await plain.createAccount({ fundFlow: '5.0' })
    const contractsAddress = deployed.account.address
    const more = { contractsAddress, providerId: provider.id.toString() }
    return new FlowSettler(configOf(chain.emulator, account, more))
  }
  const settler = await settlerOf()
  const { timestampMs } = await plain.block()
  const prove = prover(deployed.account.address)
  return {
    chain,
    deployed,
    provider,
    settler,
    neighbour: await settlerOf(),
    accounts: [first, second],
    periodStart: periodAt(timestampMs, 'month').startsAt,
    meter: METER,
    prove: async (entries, chunkMax) => prove(entries, chunkMax),
    nextPolicy: async () => {
      const { lastEpoch } = await settler.lightClient(new AbortController().signal)
      return policyProofOf(lastEpoch + 1)
    },
    signersOf: (rewardEpoch) => {
      const { threshold, voters } = policyOf(rewardEpoch)
      const lower = voters.map((voter) => ({
        ...voter,
        address: voter.address.toLowerCase() as Hex,
      }))
      return { threshold, voters: lower }
    },
    nextBlock: async () => void (await plain.makeBlock()),
    async limitCharges(maxCharge) {
      const limit = optional(maxCharge === undefined ? null : uint('UInt128', maxCharge))
      await sendFile(deployed.client, 'provider/set_max_charge', [limit], provider.account)
    },
    async approve({ accountNumber, periodStart }, chargedUpTo) {
      const key = [uint('UInt64', accountNumber), uint('UInt32', periodStart)]
      const args = [...key, uint('UInt128', chargedUpTo)]
      await sendFile(deployed.client, 'provider/approve_charge', args, provider.account)
    },
    async close(account) {
      const customer = vaults.find(({ number }) => number === account)?.customer
      if (customer === undefined) throw new Error(`no vault ${account}`)
      const ids = [uint('UInt64', provider.id), uint('UInt64', account)]
      await sendFile(deployed.client, 'customer/leave_vault', ids, customer)
      await sendFile(deployed.client, 'anybody/end_vault', ids, provider.account)
    },
    end: () => chain.stop(),
  }
}

/** Anchors and attests one batch after the other, in rounds of the first policy from `offset` on. */
export function prover(contractsAddress: string, meter = METER, offset = 0) {
  let seq = 0n
  let prevRoot: Hash = ZERO_HASH
  return (entries: readonly Entry[], chunkMax = CHUNK_MAX): ProvenBatch => {
    const { root, runs } = treeOf(entries, chunkMax)
    seq += 1n
    const header: BatchHeader = {
      seq: batchSeq(seq),
      root,
      prevRoot,
      sealedAt: 1_790_000_000 + Number(seq),
      target: targetOf('emulator', contractsAddress),
      manifest: keccak(utf8(`manifest ${seq}`)),
    }
    prevRoot = root
    const round = FIRST_EPOCH * ROUNDS_PER_EPOCH + offset + Number(seq)
    // Both forms that verifiers have answered in.
    const input = seq % 2n === 0n ? 'empty' : 'zero_byte'
    return { proof: attest(header, round, input, meter), runs }
  }
}

/** A run for each chunk, with all of its entries. */
function treeOf(
  entries: readonly Entry[],
  chunkMax: number,
): { readonly root: Hash; readonly runs: readonly EntryRun[] } {
  const sorted = entries.toSorted(compareEntries)
  const chunks = chunksOf(sorted.map(entryLeaf), chunkMax).map(chunkHash)
  const runs = chunks.map((_, i) => ({
    leavesBefore: [],
    entries: sorted.slice(i * chunkMax, (i + 1) * chunkMax).map(entryBytes),
    leavesAfter: [],
    path: merklePath(chunks, i),
  }))
  return { root: merkleRoot(chunks), runs }
}
