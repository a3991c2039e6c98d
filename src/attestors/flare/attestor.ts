import { Transaction } from 'ethers'
import type { Anchor, BatchHeader } from '../../domain/batch.js'
import type { Hash, Hex } from '../../domain/bytes.js'
import { RetryableError } from '../../domain/errors.js'
import type { AttestedAnchor, PolicyProof, PolicySigners } from '../../domain/proof.js'
import type {
  AnchorHistory,
  AnchorSight,
  Attestor,
  AttestorIdentity,
  AttestorMemory,
  Certainty,
  MeterState,
  PolicyEpochs,
  PolicyFollower,
  ProofAnswer,
} from '../../ports/attestor.js'
import type { Call, SignedTx } from '../../ports/lane.js'
import { systemClock } from '../../runtime/clock.js'
import { Anchors } from './anchors.js'
import { Attestations } from './attestation.js'
import { decodeEvent, FlareChain } from './chain.js'
import { RpcClient } from './client.js'
import { FLARE_NETWORKS, type FlareConfig, flareSettings } from './config.js'
import { ContractBook, interfaces, roundAt, topicOf } from './contracts.js'
import { DaLayer } from './da-layer.js'
import { EvmKey } from './evm-key.js'
import { FeeBudget } from './fee-budget.js'
import { type EvmCall, FlareLane } from './lane.js'
import { signerOf } from './meter-key.js'
import { Policies } from './policies.js'
import { anchorEvent, requestBytes } from './request.js'
import { Rounds } from './round.js'
import { Verifier } from './verifier.js'

const REQUESTED = topicOf(interfaces.fdcHub, 'AttestationRequest')
const ZERO_ADDRESS: Hex = `0x${'00'.repeat(20)}`
/** 24 minutes of Flare’s rounds: the longest wait between two requests for one batch. */
const BACKOFF_ROUNDS_MAX = 16
/** A node is at most 12 blocks behind, so a round further ahead is none that anything was asked in. */
const ROUNDS_AHEAD_MAX = 2
/** Blocks searched again: the node that showed the head may not have been the one that showed logs. */
const OVERLAP_BLOCKS = 30
const SEARCHES_MAX = 64

/** Anchors on a Flare network and attests through FDC. */
export class FlareAttestor implements Attestor, PolicyFollower, AnchorHistory {
  readonly lane: FlareLane
  readonly identity: AttestorIdentity
  readonly #config: FlareConfig
  readonly #sourceId: string
  readonly #chain: FlareChain
  readonly #anchors: Anchors
  readonly #book: ContractBook
  readonly #budget: FeeBudget
  readonly #rounds: Rounds
  readonly #policies: Policies
  readonly #attestations: Attestations
  readonly #verifier: Verifier | undefined
  /** The block until which nobody asked for an anchor's attestation, by its transaction. */
  readonly #searchedUntil = new Map<Hash, number>()

  constructor(config: FlareConfig, memory: AttestorMemory, key: EvmKey) {
    const { chainId, anchorAddress, logWindowBlocks, registryRefreshMs, pastRelays } = config
    const { sightings, outbox } = memory
    this.#config = config
    this.identity = { chainId, anchorAddress }
    this.#sourceId = FLARE_NETWORKS[chainId].sourceId
    this.#chain = new FlareChain(new RpcClient(config), logWindowBlocks)
    const chain = this.#chain
    this.#anchors = new Anchors(chain, config)
    this.#book = new ContractBook({
      ...{ chain, pastRelays, memory: sightings },
      refreshMs: registryRefreshMs,
    })
    const book = this.#book
    const parts = { chain, book, chainId, memory: sightings }
    const policies = new Policies({ ...parts, logWindowBlocks })
    this.#policies = policies
    const policyOf: Policies['policyOf'] = (round, signal) => policies.policyOf(round, signal)
    this.#rounds = new Rounds({ ...parts, policyOf })
    this.#attestations = new Attestations(new DaLayer(config), this.#sourceId)
    this.#verifier = Verifier.from(config)
    this.lane = new FlareLane({ chain, key, config, explain })
    const spentSince = (sinceMs: number) => outbox.spentSince(this.lane.name, sinceMs)
    this.#budget = new FeeBudget(config.dailyFeeBudgetFlr, spentSince, systemClock.now)
  }

  meterState(meter: Hex, signal: AbortSignal, certainty?: Certainty): Promise<MeterState> {
    return this.#anchors.meterState(meter, signal, certainty)
  }

  findAnchor(
    meter: Hex,
    header: BatchHeader,
    signal: AbortSignal,
    known?: Anchor,
  ): Promise<Anchor | undefined> {
    return this.#anchors.find(meter, header, signal, known)
  }

  sight(meter: Hex, header: BatchHeader, block: number, signal: AbortSignal): Promise<AnchorSight> {
    return this.#anchors.sight(meter, header, block, signal)
  }

  anchoredHeaders(
    meter: Hex,
    isKnown: (header: BatchHeader) => boolean,
    signal: AbortSignal,
  ): Promise<readonly BatchHeader[]> {
    return this.#anchors.headers(meter, isKnown, signal)
  }

  signerOf(header: BatchHeader, signature: Hex): Hex | undefined {
    return signerOf(this.#config, header, signature)
  }

  anchorCall(header: BatchHeader, signature: Hex): Call {
    const data = interfaces.anchor.encodeFunctionData('anchor', [header, signature]) as Hex
    const body: EvmCall = { to: this.identity.anchorAddress, data, value: 0n }
    return { what: `anchor batch ${header.seq}`, body }
  }

  async requestCall(anchor: Anchor, signal: AbortSignal): Promise<Call> {
    const { fdcHub, feeConfigurations } = await this.#book.current(signal)
    const bytes = await this.#request(anchor, signal)
    await this.#verifier?.compare(bytes, anchor, signal)
    const value = await this.#fee(feeConfigurations, bytes, signal)
    await this.#budget.check(value)
    const body: EvmCall = { to: fdcHub, data: encodeRequest(bytes), value }
    return { what: `request the attestation of ${anchor.txHash}`, body }
  }

  async isRequestDue(missedRounds: readonly number[], signal: AbortSignal): Promise<boolean> {
    if (missedRounds.length === 0) return true
    const contracts = await this.#book.current(signal)
    const { timestamp } = await this.#chain.block('latest', signal)
    const now = roundAt(timestamp, contracts)
    // One from a block whose time was a lie is yet to come: it is not waited for.
    const last = Math.max(...missedRounds.filter((round) => round <= now))
    const wait = Math.min(2 ** (missedRounds.length - 1), BACKOFF_ROUNDS_MAX)
    return now >= last + wait
  }

  async findRequest(
    anchor: Anchor,
    missedRounds: readonly number[],
    signal: AbortSignal,
    own?: SignedTx,
  ): Promise<number | undefined> {
    const contracts = await this.#book.current(signal)
    const bytes = await this.#request(anchor, signal)
    const { number: until, timestamp: now } = await this.#chain.block('latest', signal)
    const searched = this.#searchedUntil.get(anchor.txHash) ?? 0
    const earliest = Math.max(anchor.blockNumber, searched - OVERLAP_BLOCKS)
    const from = Math.max(earliest, until - this.#config.logSearchBlocks)
    const filter = { addresses: [contracts.fdcHub], topics: [REQUESTED] }
    for await (const log of this.#chain.logsBackward(filter, { from, until }, signal)) {
      const [asked] = decodeEvent(interfaces.fdcHub, 'AttestationRequest', log)
      if (String(asked).toLowerCase() !== bytes) continue
      const { timestamp } = await this.#chain.block(log.blockNumber, signal)
      const round = roundAt(timestamp, contracts)
      // Newest first: what was asked before a round that missed cannot serve either.
      return missedRounds.includes(round) ? undefined : round
    }
    this.#noteSearched(anchor.txHash, until)
    // Not seen is not "not there": the node that shows logs may be behind the one that showed ours land.
    const data = encodeRequest(bytes)
    const isOurs = own !== undefined && Transaction.from(own.bytes).data === data
    const round = isOurs ? await this.#roundOf(own, signal) : undefined
    const past = missedRounds.filter((missed) => missed <= roundAt(now, contracts))
    return round !== undefined && round > Math.max(-1, ...past) ? round : undefined
  }

  isFinalised(round: number, signal: AbortSignal): Promise<boolean> {
    return this.#rounds.isFinalised(round, signal)
  }

  async fetchProof(
    meter: Hex,
    header: BatchHeader,
    anchor: Anchor,
    round: number,
    signal: AbortSignal,
  ): Promise<ProofAnswer> {
    const held = await this.#rounds.root(round, signal)
    if (held === undefined) return this.#notShown(round, `round ${round} is not finalised`, signal)
    const { root } = held
    const event = anchorEvent(this.identity.anchorAddress, meter, header, anchor.logIndex)
    const request = await this.#request(anchor, signal)
    const found = await this.#attestations.find({ event, anchor, round, root, request }, signal)
    if ('outcome' in found) return found
    const rootProof = await this.#rounds.rootProof(round, held, signal)
    if (typeof rootProof === 'string') return this.#notShown(round, rootProof, signal)
    return { outcome: 'proven', proof: { header, meter, ...found, rootProof } }
  }

  rewardEpochOf(round: number, signal: AbortSignal): Promise<number> {
    return this.#policies.rewardEpochOf(round, signal)
  }

  policyProof(
    rewardEpoch: number,
    signal: AbortSignal,
    signersOf?: (rewardEpoch: number) => Promise<PolicySigners>,
  ): Promise<PolicyProof | undefined> {
    return this.#policies.proof(rewardEpoch, signal, signersOf)
  }

  epochs(signal: AbortSignal): Promise<PolicyEpochs> {
    return this.#policies.epochs(signal)
  }

  follow(accepted: number, signal: AbortSignal): Promise<boolean> {
    return this.#policies.follow(accepted, signal)
  }

  /** A policy's bytes alone, to start a light client from; undefined while nobody shows them. */
  async policyBytes(rewardEpoch: number, signal: AbortSignal): Promise<Hex | undefined> {
    return (await this.#policies.policy(rewardEpoch, signal))?.bytes
  }

  async wallet(signal: AbortSignal): Promise<{ address: Hex; balance: bigint }> {
    return { address: this.lane.address, balance: await this.lane.balance(signal) }
  }

  /** The oldest is forgotten: then it is searched for from the anchor on again. */
  #noteSearched(anchorTx: Hash, until: number): void {
    this.#searchedUntil.delete(anchorTx)
    this.#searchedUntil.set(anchorTx, until)
    const [oldest] = this.#searchedUntil.keys()
    if (this.#searchedUntil.size > SEARCHES_MAX && oldest) this.#searchedUntil.delete(oldest)
  }

  /** By the time of the block that has the receipt; undefined while no node shows one. */
  async #roundOf({ id }: SignedTx, signal: AbortSignal): Promise<number | undefined> {
    const receiptOn = async (chain: FlareChain) => (await chain.receipt(id, signal)) ?? undefined
    const receipt = await this.#chain.ofAny(receiptOn)
    if (receipt?.status !== 1) return undefined
    const { timestamp } = await this.#chain.block(receipt.blockNumber, signal)
    return roundAt(timestamp, await this.#book.current(signal))
  }

  /** Built from the chain alone; the words are those that every verifier will find. */
  async #request({ txHash, logIndex }: Anchor, signal: AbortSignal): Promise<Hex> {
    const [transaction, receipt] = await Promise.all([
      this.#chain.transaction(txHash, signal),
      this.#chain.ofAny(async (chain) => (await chain.receipt(txHash, signal)) ?? undefined),
    ])
    const log = receipt?.logs.find((candidate) => candidate.logIndex === logIndex)
    if (transaction === undefined || receipt === undefined || log === undefined) {
      throw new RetryableError('anchor_not_found', `no event ${logIndex} in transaction ${txHash}`)
    }
    const block = await this.#chain.block(receipt.blockNumber, signal)
    const attested: AttestedAnchor = {
      round: 0,
      txHash,
      logIndex,
      blockNumber: BigInt(block.number),
      timestamp: BigInt(block.timestamp),
      sourceAddress: transaction.from,
      isDeployment: transaction.to === null,
      receivingAddress: transaction.to ?? ZERO_ADDRESS,
      value: transaction.value,
      input: 'zero_byte',
    }
    const event = { logIndex, emitter: log.address, topics: log.topics, data: log.data }
    return requestBytes(attested, event, this.#sourceId)
  }

  /** In wei. Two nodes have to name the same fee, where two are set: it is money. */
  async #fee(feeConfigurations: Hex, request: Hex, signal: AbortSignal): Promise<bigint> {
    const { feeConfigurations: contract } = interfaces
    const view = [contract, feeConfigurations, 'getRequestFee', [request], signal] as const
    return BigInt(await this.#chain.agreed(...view))
  }

  /**
   * A round in which nothing was confirmed gets no root at all, and after a long outage nodes show no
   * more who signed it, so waiting would never end. Asking again costs a fee at most: were the root
   * to come after all, the batch would be proven in the later round.
   */
  async #notShown(round: number, why: string, signal: AbortSignal): Promise<ProofAnswer> {
    const contracts = await this.#book.current(signal)
    const { timestamp } = await this.#chain.block('latest', signal)
    const roundsSince = roundAt(timestamp, contracts) - round
    const isOver = roundsSince > this.#config.missedAfterRounds
    if (isOver || roundsSince < -ROUNDS_AHEAD_MAX) return { outcome: 'missed' }
    return { outcome: 'pending', why }
  }
}

function encodeRequest(bytes: Hex): Hex {
  return interfaces.fdcHub.encodeFunctionData('requestAttestation', [bytes]) as Hex
}

export async function flareAttestor(
  config: FlareConfig,
  memory: AttestorMemory,
): Promise<FlareAttestor> {
  const key = await EvmKey.open(config.gasKey, flareSettings.gasKey.env)
  return new FlareAttestor(config, memory, key)
}

/** The name and the values of an error of ours or of the standard ones. */
function explain(revertData: unknown): string | undefined {
  if (typeof revertData !== 'string' || !revertData.startsWith('0x')) return undefined
  try {
    const error = interfaces.anchor.parseError(revertData)
    return error === null ? undefined : `${error.name}(${error.args.join(', ')})`
  } catch {
    return undefined // Its name, and not its values: the node's own words have to do.
  }
}
