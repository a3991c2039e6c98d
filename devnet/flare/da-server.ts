import { type EpochParams, roundAt, roundStart } from './epochs.js'
import { decodeResponse } from './evm-transaction.js'
import { type FaultPlan, faultyAnswer } from './faults.js'
import { type Answer, type JsonServer, type Request, serveJson } from './json-server.js'
import type { Attestation, Proofs } from './proofs.js'

export interface DaParts {
  readonly proofs: Proofs
  readonly params: EpochParams
  readonly faults: FaultPlan
  /** Unix seconds of the chain's latest block. */
  readonly now: () => Promise<number>
}

/** The same for "not yet" and for "never", as Flare's DA layer answers. */
const NOT_FOUND: Answer = { status: 400, body: { error: 'attestation request not found' } }

/** A DA layer with the routes that clients of FDC use. It asks for no key. */
export function startDaServer(parts: DaParts): Promise<JsonServer> {
  return serveJson((request) => faultyAnswer(parts.faults, 'da', () => answer(parts, request)))
}

async function answer(parts: DaParts, request: Request): Promise<Answer> {
  switch (`${request.method} ${request.path}`) {
    case 'POST /api/v1/fdc/proof-by-request-round-raw':
      return proofAnswer(parts.proofs, request.body, raw)
    case 'POST /api/v1/fdc/proof-by-request-round':
      return proofAnswer(parts.proofs, request.body, decoded)
    case 'GET /api/v1/fdc/raw':
      return roundAnswer(parts.proofs, request.query, raw)
    case 'GET /api/v1/fdc':
      return roundAnswer(parts.proofs, request.query, decoded)
    case 'GET /api/v0/fsp/status':
      return { status: 200, body: await statusOf(parts) }
    case 'GET /api/v0/fsp/latest-voting-round':
      return { status: 200, body: (await statusOf(parts)).active }
    case 'GET /api/health':
      return { status: 200, body: { healthy: true } }
    default:
      return { status: 404, body: { detail: 'Not found.' } }
  }
}

function proofAnswer(proofs: Proofs, body: unknown, view: (item: Attestation) => unknown): Answer {
  const { votingRoundId, requestBytes } = (body ?? {}) as Record<string, unknown>
  if (typeof requestBytes !== 'string' || requestBytes === '') {
    return { status: 400, body: { requestBytes: ['This field is required.'] } }
  }
  const round = votingRoundId === undefined ? undefined : Number(votingRoundId)
  if (round !== undefined && !Number.isSafeInteger(round)) {
    return { status: 400, body: { votingRoundId: ['A valid integer is required.'] } }
  }
  const found = proofs.find(requestBytes, round)
  return found === undefined ? NOT_FOUND : { status: 200, body: view(found) }
}

function roundAnswer(
  proofs: Proofs,
  query: URLSearchParams,
  view: (item: Attestation) => unknown,
): Answer {
  const round = query.get('voting_round_id')
  if (round === null) return { status: 400, body: { voting_round_id: ['This field is required.'] } }
  if (!/^\d+$/.test(round)) {
    return { status: 400, body: { voting_round_id: ['A valid integer is required.'] } }
  }
  return { status: 200, body: proofs.round(Number(round)).map(view) }
}

function raw({ responseHex, attestationType, proof }: Attestation): unknown {
  return { response_hex: responseHex, attestation_type: attestationType, proof }
}

function decoded({ responseHex, proof }: Attestation): unknown {
  return { response: decodeResponse(responseHex), proof }
}

async function statusOf({ now, params, proofs }: DaParts): Promise<Record<string, RoundTimes>> {
  const active = roundAt(params, await now())
  const latest = proofs.latestRound() ?? active
  // There are no feeds here; the real answer has the field, so it says the same as for FDC.
  return {
    active: timesOf(params, active),
    latest_fdc: timesOf(params, latest),
    latest_ftso: timesOf(params, latest),
  }
}

interface RoundTimes {
  readonly voting_round_id: number
  readonly start_timestamp: number
}

function timesOf(params: EpochParams, round: number): RoundTimes {
  return { voting_round_id: round, start_timestamp: roundStart(params, round) }
}
