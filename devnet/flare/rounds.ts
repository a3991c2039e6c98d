import { getBytes, Interface, keccak256 } from 'ethers'
import { CHAIN_ID } from './anvil.js'
import type { Chain, Head } from './chain.js'
import { type Contracts, type Deployed, relayFor } from './deploy.js'
import { type EpochParams, roundAt, roundStart } from './epochs.js'
import {
  decodeRequest,
  type EvmTransactionRequest,
  type EvmTransactionResponse,
  encodeResponse,
  messageIntegrityCode,
  nameBytes,
  TEST_FLARE,
} from './evm-transaction.js'
import { examine } from './examine.js'
import type { FaultPlan } from './faults.js'
import {
  type Digests,
  FDC_PROTOCOL_ID,
  messageBytes,
  messageHash,
  policyBytes,
  relayCalldata,
  type SigningPolicy,
  signHash,
  submissionCalldata,
} from './formats.js'
import { MerkleTree } from './merkle.js'
import type { Policies } from './policies.js'
import type { Attestation, Proofs } from './proofs.js'
import { keyOf, presentVoters } from './voters.js'

const ATTESTATION_REQUEST = '0x251377668af6553101c9bb094ba89c0c536783e005e203625e6cd57345918cc9'
const hubEvents = new Interface(['event AttestationRequest(bytes data, uint256 fee)'])

export interface RoundsParts {
  readonly chain: Chain
  readonly contracts: Contracts
  readonly params: EpochParams
  readonly policies: Policies
  readonly faults: FaultPlan
  readonly proofs: Proofs
  /** Unlocked. Sends the roots. */
  readonly finalizer: string
  /** Whether a request is background traffic, which faults pass by. */
  readonly isNeighbours: (requestHex: string) => boolean
}

/** On Flare the providers choose for 45 s after a round of 90. */
const CHOOSE_SHARE = 0.5
/** 21000, and 16 for each of some 120 bytes. */
const SUBMISSION_GAS = 100_000

/**
 * The providers' work on voting rounds, in the phases of Flare: collect the requests of a round, for
 * half a round after its end derive each response from the chain and vote, then sign the root of
 * what most weight confirmed, relay it, and hand the proofs to the DA layer.
 *
 * As on Flare, a round in which nothing was confirmed gets no root at all.
 */
export class Rounds {
  readonly #parts: RoundsParts
  /** The distinct requests of the rounds that are not finished. Asking twice is asking once. */
  readonly #requests = new Map<number, Set<string>>()
  #seenBlock: number

  constructor(parts: RoundsParts, seenBlock: number) {
    this.#parts = parts
    this.#seenBlock = seenBlock
  }

  /** Takes in the blocks up to `head` and finishes the rounds that were chosen from by then. */
  async step(head: Head): Promise<void> {
    if (this.#parts.faults.isOn('quiet')) return
    await this.#collect(head)
    const { params } = this.#parts
    const isChosen = (round: number): boolean => head.timestamp >= chosenAt(params, round)
    const chosen = [...this.#requests.keys()].filter(isChosen)
    for (const round of chosen.sort((a, b) => a - b)) {
      const requests = [...(this.#requests.get(round) ?? [])]
      this.#requests.delete(round)
      await this.#finish(round, requests)
    }
  }

  async #collect(head: Head): Promise<void> {
    if (head.number <= this.#seenBlock) return
    const { chain, contracts, params } = this.#parts
    const { address } = contracts.fdcHub
    const logs = await chain.logs(address, ATTESTATION_REQUEST, this.#seenBlock + 1, head.number)
    for (const log of logs) {
      const { timestamp } = await chain.block(log.blockNumber)
      const round = roundAt(params, timestamp)
      const [data] = hubEvents.decodeEventLog('AttestationRequest', log.data)
      const requests = this.#requests.get(round) ?? new Set<string>()
      this.#requests.set(round, requests.add(data as string))
    }
    this.#seenBlock = head.number
  }

  async #finish(round: number, requests: readonly string[]): Promise<void> {
    const { faults, proofs, chain, contracts, finalizer } = this.#parts
    if (faults.isOn('paused')) return
    const hasStrangers = requests.some((request) => !this.#parts.isNeighbours(request))
    if (hasStrangers && faults.take('missedRound') !== undefined) return
    const policy = this.#parts.policies.forRound(round)
    const confirmed = await this.#confirm(policy, requests)
    if (confirmed.length === 0) return

    const { root, attestations } = attest(round, confirmed)
    const present = presentVoters(policy.voters, faults.absentVoters())
    const { address: to, digests } = relayFor(contracts, round)
    const { relay: data, submissions } = signed(policy, round, root, digests, present)
    for (const data of submissions) {
      const to = contracts.submission.address
      await chain.send({ from: finalizer, to, data, gas: SUBMISSION_GAS })
    }
    const isEncoded = hasStrangers && faults.take('encodedRelay') !== undefined
    const call = isEncoded ? encoded(contracts.encodingRelayer, to, data) : { to, data }
    await chain.transact({ from: finalizer, ...call })
    const delayMs = faults.take('lateProofs')?.delayMs ?? 0
    proofs.publish(round, attestations, delayMs)
  }

  /** What voters of more than half of the weight say yes to. */
  async #confirm(policy: SigningPolicy, requests: readonly string[]): Promise<Confirmed[]> {
    const total = policy.voters.reduce((sum, { weight }) => sum + weight, 0)
    const confirmed: Confirmed[] = []
    for (const requestHex of requests) {
      const isStranger = !this.#parts.isNeighbours(requestHex)
      if (isStranger && this.#parts.faults.take('droppedRequest') !== undefined) continue
      // The voters share one node, so it is asked once for all of them; each checks for itself.
      const derived = await this.#derive(requestHex)
      const present = presentVoters(policy.voters, this.#parts.faults.absentVoters())
      const yes = policy.voters.filter(
        ({ address }) => present.has(address) && derived !== undefined && isAsExpected(derived),
      )
      const weight = yes.reduce((sum, voter) => sum + voter.weight, 0)
      if (derived !== undefined && 2 * weight > total) {
        confirmed.push({ requestHex, response: derived.response })
      }
    }
    return confirmed
  }

  async #derive(requestHex: string): Promise<Derived | undefined> {
    const request = decodeRequest(requestHex)
    if (request === undefined || request.sourceId !== nameBytes(TEST_FLARE)) return undefined
    const response = await examine(this.#parts.chain, request)
    return response && { request, response }
  }
}

interface Derived {
  readonly request: EvmTransactionRequest
  readonly response: EvmTransactionResponse
}

interface Confirmed {
  readonly requestHex: string
  readonly response: EvmTransactionResponse
}

/** Unix seconds at which the providers have agreed on what a round holds. */
function chosenAt(params: EpochParams, round: number): number {
  return roundStart(params, round + 1) + CHOOSE_SHARE * params.votingEpochDurationSeconds
}

function isAsExpected({ request, response }: Derived): boolean {
  return messageIntegrityCode(response) === request.messageIntegrityCode
}

/** The round's tree over the confirmed responses, now with their round in them. */
export function attest(
  round: number,
  confirmed: readonly Confirmed[],
): { root: string; attestations: Attestation[] } {
  const leaves = confirmed.map(({ requestHex, response }) => {
    const responseHex = encodeResponse({ ...response, votingRound: String(round) })
    const { attestationType } = response
    return { requestHex, responseHex, attestationType, leaf: keccak256(responseHex) }
  })
  const tree = new MerkleTree(leaves.map(({ leaf }) => leaf))
  const attestations = leaves.map(({ leaf, ...rest }) => ({
    ...rest,
    votingRoundId: round,
    proof: tree.proof(leaf),
  }))
  return { root: tree.root, attestations }
}

/** Relay calldata with the signatures of all voters, more than it takes. */
export function signedRoot(
  policy: SigningPolicy,
  round: number,
  merkleRoot: string,
  digests: Digests = 'bound',
): string {
  return signed(policy, round, merkleRoot, digests).relay
}

/**
 * The signatures of all voters under a root, as the Relay takes them at once, and as each submits
 * its own: with the message and without, in turn.
 *
 * @param present the addresses of those who sign; all unless told
 */
function signed(
  policy: SigningPolicy,
  round: number,
  merkleRoot: string,
  digests: Digests,
  present?: ReadonlySet<string>,
): { relay: string; submissions: string[] } {
  const head = { protocolId: FDC_PROTOCOL_ID, votingRoundId: round }
  const message = messageBytes({ ...head, isSecureRandom: false, merkleRoot })
  const hash = messageHash(digests, CHAIN_ID, message)
  const signatures = policy.voters.flatMap(({ address }, index) =>
    present?.has(address) === false ? [] : { ...signHash(keyOf(address), hash), index },
  )
  return {
    relay: relayCalldata(policyBytes(policy), message, signatures),
    submissions: signatures.map((signature) =>
      submissionCalldata(head, signature, signature.index % 2 === 0 ? message : undefined),
    ),
  }
}

function encoded(
  { address, abi }: Deployed,
  relay: string,
  data: string,
): { to: string; data: string } {
  const inverted = getBytes(data).map((byte) => 0xff - byte)
  return { to: address, data: abi.encodeFunctionData('forward', [relay, inverted]) }
}
