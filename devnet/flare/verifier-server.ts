import { ZeroHash } from 'ethers'
import type { Chain } from './chain.js'
import {
  decodeRequest,
  EVM_TRANSACTION,
  type EvmTransactionRequest,
  type EvmTransactionResponse,
  encodeRequest,
  encodeResponse,
  messageIntegrityCode,
  nameBytes,
  type RequestBody,
} from './evm-transaction.js'
import { examine } from './examine.js'
import { type FaultPlan, faultyAnswer } from './faults.js'
import { type Answer, type JsonServer, type Request, serveJson } from './json-server.js'

/** The key that Flare's testnet verifiers give to everybody. */
export const PUBLIC_VERIFIER_KEY = '00000000-0000-0000-0000-000000000000'

export interface VerifierParts {
  readonly chain: Chain
  readonly faults: FaultPlan
}

/** The chains that the verifier knows, by path. Only the first is ours: no other has our blocks. */
const SOURCES: Readonly<Record<string, string>> = {
  flr: 'testFLR',
  eth: 'testETH',
  sgb: 'testSGB',
}
const PATH = /^\/verifier\/(flr|eth|sgb)\/EVMTransaction\/(\w+)$/

const MALFORMED = 'MALFORMED ATTESTATION REQUEST'

/** A verifier of EVMTransaction requests. It wants an `X-API-KEY`. */
export function startVerifierServer(parts: VerifierParts): Promise<JsonServer> {
  const { chain, faults } = parts
  return serveJson((request) => faultyAnswer(faults, 'verifier', () => routed(chain, request)))
}

async function routed(chain: Chain, request: Request): Promise<Answer> {
  const [, chainName, method] = PATH.exec(request.path) ?? []
  if (request.method !== 'POST' || chainName === undefined || method === undefined) {
    return failure(404, `Cannot ${request.method} ${request.path}`)
  }
  if (request.headers['x-api-key'] !== PUBLIC_VERIFIER_KEY) return failure(401, 'Unauthorized')
  return answer(chain, { chainName, method }, request)
}

interface Route {
  readonly chainName: string
  readonly method: string
}

async function answer(
  chain: Chain,
  { chainName, method }: Route,
  { body }: Request,
): Promise<Answer> {
  if (method === 'verifyFDC') return verified(chain, chainName, body)
  if (!['prepareRequest', 'prepareResponse', 'mic'].includes(method)) {
    return failure(404, `Cannot POST ${method}`)
  }
  const request = parseRequest(body)
  if (request === undefined) return failure(400, 'Bad Request')
  if (!isSupported(chainName, request)) return unsupported(chainName, request)
  const response = await examineAt(chain, chainName, request)
  // A refusal is an answer too: 200, without bytes.
  if (response === undefined) return ok({ status: 'INVALID' })
  return ok({ status: 'VALID', ...prepared(method, request, response) })
}

function prepared(
  method: string,
  request: EvmTransactionRequest,
  response: EvmTransactionResponse,
): Record<string, unknown> {
  const mic = messageIntegrityCode(response)
  if (method === 'mic') return { messageIntegrityCode: mic }
  if (method === 'prepareResponse') return { response }
  return { abiEncodedRequest: encodeRequest({ ...request, messageIntegrityCode: mic }) }
}

async function verified(chain: Chain, chainName: string, body: unknown): Promise<Answer> {
  const { abiEncodedRequest } = (body ?? {}) as Record<string, unknown>
  if (typeof abiEncodedRequest !== 'string') return failure(400, 'Bad Request')
  const request = decodeRequest(abiEncodedRequest)
  if (request === undefined || !isSupported(chainName, request)) return ok({ status: MALFORMED })
  const response = await examineAt(chain, chainName, request)
  if (response === undefined) return ok({ status: 'INVALID' })
  return ok({ status: 'VALID', abiEncodedResponse: encodeResponse(response) })
}

async function examineAt(
  chain: Chain,
  chainName: string,
  request: EvmTransactionRequest,
): Promise<EvmTransactionResponse | undefined> {
  return chainName === 'flr' ? examine(chain, request) : undefined
}

function isSupported(chainName: string, request: EvmTransactionRequest): boolean {
  const isType = request.attestationType === nameBytes(EVM_TRANSACTION)
  return isType && request.sourceId === nameBytes(SOURCES[chainName] ?? '')
}

function unsupported(chainName: string, request: EvmTransactionRequest): Answer {
  const asked = `(${request.attestationType}, ${request.sourceId})`
  const supported = `'${EVM_TRANSACTION}' of '${SOURCES[chainName]}'`
  const error = `Attestation type and source id combination not supported: ${asked}, only ${supported}`
  return { status: 400, body: { status: 400, error } }
}

const HASH = /^0x[0-9a-fA-F]{64}$/

/** @returns undefined where a field is missing or of another shape. */
function parseRequest(body: unknown): EvmTransactionRequest | undefined {
  const { attestationType, sourceId, requestBody } = (body ?? {}) as Record<string, unknown>
  if (!isHash(attestationType) || !isHash(sourceId)) return undefined
  const parsed = parseBody(requestBody)
  if (parsed === undefined) return undefined
  return { attestationType, sourceId, messageIntegrityCode: ZeroHash, requestBody: parsed }
}

function parseBody(value: unknown): RequestBody | undefined {
  const body = (value ?? {}) as Record<string, unknown>
  const { transactionHash, requiredConfirmations, provideInput, listEvents, logIndices } = body
  if (!isHash(transactionHash) || !isDecimal(requiredConfirmations)) return undefined
  if (typeof provideInput !== 'boolean' || typeof listEvents !== 'boolean') return undefined
  if (!Array.isArray(logIndices) || !logIndices.every(isDecimal)) return undefined
  return { transactionHash, requiredConfirmations, provideInput, listEvents, logIndices }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && HASH.test(value)
}

function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,10}$/.test(value)
}

function ok(body: unknown): Answer {
  return { status: 200, body }
}

function failure(status: number, message: string): Answer {
  return { status, body: { statusCode: status, message } }
}
