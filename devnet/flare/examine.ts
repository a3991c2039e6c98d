import { ZeroAddress } from 'ethers'
import type { Chain, Log } from './chain.js'
import type {
  AttestedEvent,
  EvmTransactionRequest,
  EvmTransactionResponse,
} from './evm-transaction.js'

const EVENTS_MAX = 50

/**
 * Derives from the chain what a request asks about, as verifiers do. The round is 0 and the request's
 * own integrity code is not looked at.
 *
 * @returns undefined where Flare's verifier says INVALID: transaction unknown, too few
 * confirmations, or an event that is not the transaction's.
 */
export async function examine(
  chain: Chain,
  request: EvmTransactionRequest,
): Promise<EvmTransactionResponse | undefined> {
  const { requestBody } = request
  const [head, transaction, receipt] = await Promise.all([
    chain.head(),
    chain.transaction(requestBody.transactionHash),
    chain.receipt(requestBody.transactionHash),
  ])
  if (transaction === undefined || receipt === undefined) return undefined
  const confirmations = head.number - receipt.blockNumber + 1
  if (confirmations < Number(requestBody.requiredConfirmations)) return undefined
  const events = pickEvents(request, receipt.logs)
  if (events === undefined) return undefined
  const { number, timestamp } = await chain.block(receipt.blockNumber)
  return {
    attestationType: request.attestationType,
    sourceId: request.sourceId,
    votingRound: '0',
    lowestUsedTimestamp: String(timestamp),
    requestBody,
    responseBody: {
      blockNumber: String(number),
      timestamp: String(timestamp),
      sourceAddress: transaction.from,
      isDeployment: transaction.to === null,
      receivingAddress: transaction.to ?? ZeroAddress,
      value: String(transaction.value),
      // Left out input is one zero byte, not nothing. Attestations of 2024 had nothing.
      input: requestBody.provideInput ? transaction.input : '0x00',
      status: receipt.isSuccess ? '1' : '0',
      events: events.map(attested),
    },
  }
}

function pickEvents(
  { requestBody }: EvmTransactionRequest,
  logs: readonly Log[],
): Log[] | undefined {
  const { listEvents, logIndices } = requestBody
  if (logIndices.length === 0) return listEvents ? logs.slice(0, EVENTS_MAX) : []
  if (!listEvents || logIndices.length > EVENTS_MAX) return undefined
  const picked = logIndices.map((index) => logs.find((log) => log.logIndex === Number(index)))
  return picked.every((log) => log !== undefined) ? picked : undefined
}

function attested(log: Log): AttestedEvent {
  return {
    logIndex: String(log.logIndex),
    emitterAddress: log.address,
    topics: log.topics,
    data: log.data,
    removed: log.removed,
  }
}
