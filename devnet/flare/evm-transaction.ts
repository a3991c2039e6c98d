import { AbiCoder, concat, dataSlice, encodeBytes32String, keccak256, type Result } from 'ethers'

/** The one attestation type that is attested here, and the name of our chain as its source. */
export const EVM_TRANSACTION = 'EVMTransaction'
export const TEST_FLARE = 'testFLR'

const BODY =
  'tuple(bytes32 transactionHash, uint16 requiredConfirmations, bool provideInput, bool listEvents, uint32[] logIndices)'
const EVENT =
  'tuple(uint32 logIndex, address emitterAddress, bytes32[] topics, bytes data, bool removed)'
const RESPONSE_BODY = `tuple(uint64 blockNumber, uint64 timestamp, address sourceAddress, bool isDeployment, address receivingAddress, uint256 value, bytes input, uint8 status, ${EVENT}[] events)`
const RESPONSE = `tuple(bytes32 attestationType, bytes32 sourceId, uint64 votingRound, uint64 lowestUsedTimestamp, ${BODY} requestBody, ${RESPONSE_BODY} responseBody)`

/** Type, source and message integrity code. */
const REQUEST_HEAD_BYTES = 96
const abi = AbiCoder.defaultAbiCoder()

/** What is asked about a transaction. Integers are decimal strings, as over HTTP. */
export interface RequestBody {
  readonly transactionHash: string
  readonly requiredConfirmations: string
  readonly provideInput: boolean
  readonly listEvents: boolean
  /** Block-level; none together with `listEvents` means all events, up to 50. */
  readonly logIndices: readonly string[]
}

export interface EvmTransactionRequest {
  readonly attestationType: string
  readonly sourceId: string
  readonly messageIntegrityCode: string
  readonly requestBody: RequestBody
}

export interface AttestedEvent {
  readonly logIndex: string
  readonly emitterAddress: string
  readonly topics: readonly string[]
  readonly data: string
  readonly removed: boolean
}

/** What providers attest, with the names that verifier and DA layer give it. */
export interface EvmTransactionResponse {
  readonly attestationType: string
  readonly sourceId: string
  readonly votingRound: string
  readonly lowestUsedTimestamp: string
  readonly requestBody: RequestBody
  readonly responseBody: {
    readonly blockNumber: string
    readonly timestamp: string
    readonly sourceAddress: string
    readonly isDeployment: boolean
    readonly receivingAddress: string
    readonly value: string
    readonly input: string
    readonly status: string
    readonly events: readonly AttestedEvent[]
  }
}

/** ASCII, padded with zeros to 32 bytes, as types and sources are named. */
export const nameBytes = encodeBytes32String

/** The request as FdcHub takes it: 96 bytes of head, then the body. Lower case. */
export function encodeRequest(request: EvmTransactionRequest): string {
  const body = abi.encode([BODY], [request.requestBody])
  const head = [request.attestationType, request.sourceId, request.messageIntegrityCode]
  return concat([...head, body]).toLowerCase()
}

/** @returns undefined when the bytes are no EVMTransaction request. */
export function decodeRequest(bytes: string): EvmTransactionRequest | undefined {
  try {
    const attestationType = dataSlice(bytes, 0, 32)
    if (attestationType !== nameBytes(EVM_TRANSACTION)) return undefined
    const [body] = abi.decode([BODY], dataSlice(bytes, REQUEST_HEAD_BYTES))
    const request = {
      attestationType,
      sourceId: dataSlice(bytes, 32, 64),
      messageIntegrityCode: dataSlice(bytes, 64, REQUEST_HEAD_BYTES),
      requestBody: bodyOf(body),
    }
    return encodeRequest(request) === bytes.toLowerCase() ? request : undefined
  } catch {
    return undefined // Whatever the decoder stumbles over, it is no request.
  }
}

/** The bytes whose hash is the leaf of the round's tree. */
export function encodeResponse(response: EvmTransactionResponse): string {
  return abi.encode([RESPONSE], [response])
}

/** The other way round: with field names, integers as decimal strings. */
export function decodeResponse(bytes: string): EvmTransactionResponse {
  const [response] = abi.decode([RESPONSE], bytes)
  const { responseBody } = response
  return {
    attestationType: response.attestationType,
    sourceId: response.sourceId,
    votingRound: String(response.votingRound),
    lowestUsedTimestamp: String(response.lowestUsedTimestamp),
    requestBody: bodyOf(response.requestBody),
    responseBody: {
      blockNumber: String(responseBody.blockNumber),
      timestamp: String(responseBody.timestamp),
      sourceAddress: responseBody.sourceAddress,
      isDeployment: responseBody.isDeployment,
      receivingAddress: responseBody.receivingAddress,
      value: String(responseBody.value),
      input: responseBody.input,
      status: String(responseBody.status),
      events: responseBody.events.map(eventOf),
    },
  }
}

function bodyOf(body: Result): RequestBody {
  return {
    transactionHash: body.transactionHash,
    requiredConfirmations: String(body.requiredConfirmations),
    provideInput: body.provideInput,
    listEvents: body.listEvents,
    logIndices: [...body.logIndices].map(String),
  }
}

function eventOf(event: Result): AttestedEvent {
  const { emitterAddress, data, removed } = event
  const topics = [...event.topics]
  return { logIndex: String(event.logIndex), emitterAddress, topics, data, removed }
}

/** The code that a request carries: the hash of the response it expects, of no round, salted. */
export function messageIntegrityCode(response: EvmTransactionResponse): string {
  return keccak256(abi.encode([RESPONSE, 'string'], [{ ...response, votingRound: '0' }, 'Flare']))
}
