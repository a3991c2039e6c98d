import {
  EVM_TRANSACTION,
  encodeResponse,
  nameBytes,
  TEST_FLARE,
} from '../../devnet/flare/evm-transaction.js'
import { MerkleTree } from '../../devnet/flare/merkle.js'
import { array, bool, type CadenceValue, uint } from '../../devnet/flow/cadence-json.js'
import { type Hash, type Hex, hash, join, keccak, u64, u256 } from '../../src/domain/bytes.js'
import { chunkHash, chunksOf, type Entry, entryBytes } from '../../src/domain/entry.js'
import { merklePath, merkleRoot } from '../../src/domain/merkle.js'
import { messageHash, signatures } from './flare.js'

/** Batches as the daemon seals them and FDC attests them, for tests to bring to Flow. */

export const ANCHOR = '0x2b5ad5c4795c026514f8317c7a215e218dccd6cf'
const TOPIC = '0x36d511db1e57a4c4714535b3f9cf1ec582d3726911d333bbd5eb9fbdfc3944ff'

export interface Header {
  readonly seq: bigint
  readonly root: Hash
  readonly prevRoot: Hash
  readonly sealedAt: bigint
  readonly target: Hash
  readonly manifest: Hash
}

/** The words of FDC's answer that are its own each time. */
export interface Answer {
  readonly round: number
  readonly lowestUsedTimestamp: bigint
  readonly transactionHash: Hash
  readonly requiredConfirmations: number
  readonly logIndex: number
  readonly blockNumber: bigint
  readonly timestamp: bigint
  readonly sourceAddress: Hex
  readonly isDeployment: boolean
  readonly receivingAddress: Hex
  readonly value: bigint
  readonly hasInputByte: boolean
}

export const ANSWER: Omit<Answer, 'round'> = {
  lowestUsedTimestamp: 1_790_283_610n,
  transactionHash: keccak('0x01'),
  requiredConfirmations: 1,
  logIndex: 3,
  blockNumber: 17_654_321n,
  timestamp: 1_790_283_610n,
  sourceAddress: '0x6813eb9362372eef6200f3b1dbc3f819671cba69',
  isDeployment: false,
  receivingAddress: ANCHOR,
  value: 0n,
  hasInputByte: true,
}

/** What FDC may have attested instead: another contract's event, on another network, and so on. */
export interface Forgery {
  readonly emitter?: Hex
  readonly source?: string
  readonly round?: number
  readonly topic?: Hex
  readonly status?: '0' | '1'
  readonly isRemoved?: boolean
  /** Before ours: its index in the block. */
  readonly otherEvent?: string
}

/** The bytes that FDC hashes, encoded by another library than the contract's own words. */
export function responseBytes(
  meter: Hex,
  header: Header,
  answer: Answer,
  forged: Forgery = {},
): Hex {
  const index = String(answer.logIndex)
  const { emitter = ANCHOR, topic = TOPIC, otherEvent } = forged
  const event = {
    logIndex: index,
    emitterAddress: emitter,
    topics: [topic, u256(BigInt(meter)), u256(header.seq), header.root],
    data: join(header.prevRoot, u256(header.sealedAt), header.target, header.manifest),
    removed: forged.isRemoved ?? false,
  }
  const others = otherEvent === undefined ? [] : [{ ...event, logIndex: otherEvent }]
  return encodeResponse({
    attestationType: nameBytes(EVM_TRANSACTION),
    sourceId: nameBytes(forged.source ?? TEST_FLARE),
    votingRound: String(forged.round ?? answer.round),
    lowestUsedTimestamp: String(answer.lowestUsedTimestamp),
    requestBody: {
      transactionHash: answer.transactionHash,
      requiredConfirmations: String(answer.requiredConfirmations),
      provideInput: false,
      listEvents: true,
      logIndices: [index],
    },
    responseBody: {
      blockNumber: String(answer.blockNumber),
      timestamp: String(answer.timestamp),
      sourceAddress: answer.sourceAddress,
      isDeployment: answer.isDeployment,
      receivingAddress: answer.receivingAddress,
      value: String(answer.value),
      input: answer.hasInputByte ? '0x00' : '0x',
      status: forged.status ?? '1',
      events: [...others, event],
    },
  }) as Hex
}

export function headerArgs(header: Header): CadenceValue[] {
  return [
    uint('UInt64', header.seq),
    word(header.root),
    word(header.prevRoot),
    uint('UInt64', header.sealedAt),
    word(header.manifest),
  ]
}

/** All but the round, which comes elsewhere. */
export function answerArgs(answer: Omit<Answer, 'round'>): CadenceValue[] {
  return [
    uint('UInt64', answer.lowestUsedTimestamp),
    word(answer.transactionHash),
    uint('UInt16', answer.requiredConfirmations),
    uint('UInt32', answer.logIndex),
    uint('UInt64', answer.blockNumber),
    uint('UInt64', answer.timestamp),
    word(answer.sourceAddress),
    bool(answer.isDeployment),
    word(answer.receivingAddress),
    uint('UInt256', answer.value),
    bool(answer.hasInputByte),
  ]
}

/** A batch, cut into chunks. */
export interface Batch {
  readonly header: Header
  readonly chunks: readonly { readonly entries: readonly Hex[]; readonly path: readonly Hash[] }[]
}

export function batchOf(
  entries: readonly (Entry | Hex)[],
  parts: { seq: bigint; target: Hash; chunkMax?: number },
): Batch {
  const bytes = entries.map((entry) => (typeof entry === 'string' ? entry : entryBytes(entry)))
  const cut = chunksOf(bytes as Hash[], parts.chunkMax) as Hex[][]
  const hashes = cut.map((chunk) => chunkHash(chunk.map((one) => keccak(one))))
  return {
    header: {
      seq: parts.seq,
      root: merkleRoot(hashes),
      prevRoot: hash(u256(0n)),
      sealedAt: 1_790_283_600n,
      target: parts.target,
      manifest: keccak(u64(parts.seq)),
    },
    chunks: cut.map((chunk, i) => ({ entries: chunk, path: merklePath(hashes, i) })),
  }
}

export interface AcceptParts {
  readonly provider: bigint
  readonly meter: Hex
  readonly round: number
  readonly chainId: bigint
  readonly signers?: readonly number[]
  readonly forged?: Forgery
}

/** The arguments of `anybody/accept_batch`, with another attestation beside ours in the round. */
export function acceptArgs(header: Header, parts: AcceptParts): CadenceValue[] {
  const { provider, meter, round, chainId, signers = [0, 1], forged } = parts
  const leaf = keccak(responseBytes(meter, header, { ...ANSWER, round }, forged))
  const tree = new MerkleTree([leaf, keccak('0xaa'), keccak('0xbb')])
  return [
    uint('UInt64', provider),
    uint('UInt32', round),
    word(tree.root),
    ...signatures(messageHash(round, BigInt(tree.root), chainId), signers),
    array(tree.proof(leaf).map(word)),
    ...headerArgs(header),
    ...answerArgs(ANSWER),
  ]
}

/** A part of a chunk that is settled at once: all of it, if nothing else is said. */
export interface Run {
  readonly batch: Batch
  readonly chunk?: number
  readonly from?: number
  readonly until?: number
}

/** The arguments of `anybody/settle_runs`. */
export function settleArgs(provider: bigint, runs: readonly Run[]): CadenceValue[] {
  const cut = runs.map(({ batch, chunk = 0, from = 0, until }) => {
    const { entries = [], path = [] } = batch.chunks[chunk] ?? {}
    const end = until ?? entries.length
    const leaf = (bytes: Hex): CadenceValue => word(keccak(bytes))
    return {
      seq: uint('UInt64', batch.header.seq),
      before: array(entries.slice(0, from).map(leaf)),
      entries: array(entries.slice(from, end).map((bytes) => uint('UInt', BigInt(bytes)))),
      after: array(entries.slice(end).map(leaf)),
      path: array(path.map(word)),
    }
  })
  return [
    uint('UInt64', provider),
    array(cut.map(({ seq }) => seq)),
    array(cut.map(({ before }) => before)),
    array(cut.map(({ entries }) => entries)),
    array(cut.map(({ after }) => after)),
    array(cut.map(({ path }) => path)),
  ]
}

export function word(hex: string): CadenceValue {
  return uint('UInt256', BigInt(hex))
}
