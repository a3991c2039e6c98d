import { AbiCoder, encodeBytes32String, type ParamType } from 'ethers'
import type { BatchHeader } from '../../domain/batch.js'
import { type Hash, type Hex, hash, join, keccak, ZERO_HASH } from '../../domain/bytes.js'
import type { AttestedAnchor } from '../../domain/proof.js'
import { interfaces } from './contracts.js'

/*
 * The bytes of FDC's attestation type EVMTransaction, for a transaction with one event of ours.
 */

const EVM_TRANSACTION = encodeBytes32String('EVMTransaction')
/** A block is final on Flare as soon as it is there. */
const CONFIRMATIONS = 1
/** Ends the preimage of a request's message integrity code. */
const SALT = 'Flare'
const WORD = 32
/** All words but those of the event's list: see `attestedIn`. */
const LENGTH_EMPTY_INPUT = 1312
const LENGTH_ZERO_BYTE_INPUT = 1344

const abi = AbiCoder.defaultAbiCoder()
const [RESPONSE, BODY] = responseTypes()

/** One event of a transaction, by its place in the block. */
export interface AttestedEvent {
  readonly logIndex: number
  readonly emitter: Hex
  readonly topics: readonly Hash[]
  readonly data: Hex
}

/** The event that the anchor contract emits for a header. */
export function anchorEvent(
  anchorAddress: Hex,
  meter: Hex,
  header: BatchHeader,
  logIndex: number,
): AttestedEvent {
  const { seq, root, prevRoot, sealedAt, target, manifest } = header
  const values = [meter, seq, root, prevRoot, sealedAt, target, manifest]
  const { topics, data } = interfaces.anchor.encodeEventLog('UsageBatchAnchored', values)
  return { logIndex, emitter: anchorAddress, topics: topics.map(hash), data: data as Hex }
}

/**
 * What FdcHub is asked: 96 bytes of type, source and message integrity code, and the body; 352
 * bytes for one event. The attested words are those we expect, in the form of today's verifiers.
 */
export function requestBytes(
  attested: AttestedAnchor,
  event: AttestedEvent,
  sourceId: string,
): Hex {
  const code = integrityCode(attested, event, sourceId)
  const body = abi.encode([BODY], [bodyOf(attested)]) as Hex
  return join(EVM_TRANSACTION as Hex, encodeBytes32String(sourceId) as Hex, code, body)
}

/** A request as far as its fee goes: type and network are all that it hangs on. */
export function feeQuestion(sourceId: string): Hex {
  const source = encodeBytes32String(sourceId) as Hex
  return join(EVM_TRANSACTION as Hex, source, ZERO_HASH)
}

/** The hash of the expected response of no round, and a salt. */
export function integrityCode(
  attested: AttestedAnchor,
  event: AttestedEvent,
  sourceId: string,
): Hash {
  const response = responseOf({ ...attested, round: 0 }, event, sourceId)
  return keccak(abi.encode([RESPONSE, 'string'], [response, SALT]) as Hex)
}

/** The attestation's bytes, whose keccak is the leaf of the round's tree. */
export function responseBytes(
  attested: AttestedAnchor,
  event: AttestedEvent,
  sourceId: string,
): Hex {
  return abi.encode([RESPONSE], [responseOf(attested, event, sourceId)]) as Hex
}

/**
 * The words of a response that are not given by request and event; undefined when the bytes are
 * not the attestation of exactly that event in either form. Nothing is parsed: the variable words
 * are taken from their places, and everything is built anew from them and compared.
 */
export function attestedIn(
  response: Hex,
  event: AttestedEvent,
  sourceId: string,
): AttestedAnchor | undefined {
  const length = (response.length - 2) / 2
  if (length !== LENGTH_EMPTY_INPUT && length !== LENGTH_ZERO_BYTE_INPUT) return undefined
  const word = (offset: number): Hex =>
    `0x${response.slice(2 + 2 * offset, 2 + 2 * (offset + WORD))}`
  const [round, blockNumber, timestamp] = [96, 448, 480].map((offset) => BigInt(word(offset)))
  const numbers = [round, blockNumber, timestamp]
  if (numbers.some((value = 0n) => value >= 1n << 53n)) return undefined
  const attested: AttestedAnchor = {
    round: Number(round),
    txHash: hash(word(224)),
    logIndex: event.logIndex,
    blockNumber: blockNumber ?? 0n,
    timestamp: timestamp ?? 0n,
    sourceAddress: lowBytes(word(512)),
    isDeployment: BigInt(word(544)) === 1n,
    receivingAddress: lowBytes(word(576)),
    value: BigInt(word(608)),
    input: length === LENGTH_EMPTY_INPUT ? 'empty' : 'zero_byte',
  }
  return responseBytes(attested, event, sourceId) === response ? attested : undefined
}

function responseOf(attested: AttestedAnchor, event: AttestedEvent, sourceId: string): unknown {
  return {
    attestationType: EVM_TRANSACTION,
    sourceId: encodeBytes32String(sourceId),
    votingRound: attested.round,
    lowestUsedTimestamp: attested.timestamp,
    requestBody: bodyOf(attested),
    responseBody: {
      blockNumber: attested.blockNumber,
      timestamp: attested.timestamp,
      sourceAddress: attested.sourceAddress,
      isDeployment: attested.isDeployment,
      receivingAddress: attested.receivingAddress,
      value: attested.value,
      input: attested.input === 'empty' ? '0x' : '0x00',
      status: 1,
      events: [
        {
          logIndex: event.logIndex,
          emitterAddress: event.emitter,
          topics: event.topics,
          data: event.data,
          removed: false,
        },
      ],
    },
  }
}

function bodyOf({ txHash, logIndex }: AttestedAnchor): unknown {
  return {
    transactionHash: txHash,
    requiredConfirmations: CONFIRMATIONS,
    provideInput: false,
    listEvents: true,
    logIndices: [logIndex],
  }
}

function lowBytes(word: Hex): Hex {
  return `0x${word.slice(-40)}`
}

/** As Flare's own ABI has them. */
function responseTypes(): readonly [response: ParamType, body: ParamType] {
  const proof = interfaces.fdcVerification.getFunction('verifyEVMTransaction')?.inputs[0]
  const response = proof?.components?.find(({ name }) => name === 'data')
  const body = response?.components?.find(({ name }) => name === 'requestBody')
  if (response === undefined || body === undefined)
    throw new Error('not the ABI of FdcVerification')
  return [response, body]
}
