/**
 * The REST API of a Flow access node, as far as the local network and its tests need it. Shapes
 * seen on flow-emulator 1.22.0; numbers come as decimal text, binary as base64.
 *
 * - `GET /v1/blocks?height=sealed` and `GET /v1/blocks/{id}` give
 *   `[{ header: { id, parent_id, height, timestamp } }]`
 * - `GET /v1/accounts/{address}?expand=contracts,keys` gives `{ address, balance (1e-8 FLOW),
 *   keys: [...], contracts: { Name: base64 } }`
 * - `GET /v1/accounts/{address}/keys/{index}` gives
 *   `{ index, public_key, sequence_number, weight, revoked }`
 * - `POST /v1/transactions` (body: `transactionBody`) gives `{ id }`
 * - `GET /v1/transaction_results/{id}` gives `{ block_id, status, status_code, error_message,
 *   events: [{ type, event_index, payload: base64 of JSON-Cadence }] }`; `status` is "Sealed" at
 *   the end, "Pending" before and "" when the node never heard of it
 * - `POST /v1/scripts?block_height=sealed` with `{ script, arguments }` gives the base64 of the
 *   JSON-Cadence result; a failing script is status 400 with `{ code, message }`
 * - `GET /v1/events?type=&start_height=&end_height=` gives
 *   `[{ block_id, block_height, block_timestamp, events }]`
 *
 * Routes of our own emulator program (tools/flow-emulator), on the same port:
 *
 * - `GET /clock` gives `{ offsetMs, nowMs, height, blockMs }`
 * - `POST /clock` with `{ advanceMs }` moves block time forward and gives the same, once a block
 *   bears the new time
 * - `POST /block` makes a block of what is pending and gives the same
 */

/** A transaction may be executed before it is answered, and a busy machine takes its time. */
const REQUEST_MS_MAX = 120_000
/**
 * The emulator closes a connection whose answer takes longer than 30 s, and may close an idle one just
 * when it is used again. What was asked is done all the same.
 */
const TRIES_MAX = 3

/** An answer that is not a success. */
export class RestError extends Error {
  override readonly name = 'RestError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** One request; the answer's JSON. @throws RestError when the status is not 2xx. */
export async function request(url: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    headers: { 'content-type': 'application/json' },
    signal: AbortSignal.timeout(REQUEST_MS_MAX),
  })
  const text = await response.text()
  if (!response.ok) throw new RestError(response.status, messageOf(text))
  return JSON.parse(text) as unknown
}

/**
 * Asks again where the connection was closed without an answer: for what may be done twice.
 *
 * @param isDoneBy says of the refusal of a later try that an earlier one has done it
 * @returns undefined when it was done by an earlier try
 */
export async function requestAgain(
  url: string,
  body?: unknown,
  isDoneBy: (error: RestError) => boolean = () => false,
): Promise<unknown> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await request(url, body)
    } catch (error) {
      if (tries > 1 && error instanceof RestError && isDoneBy(error)) return undefined
      // That is what fetch throws for a connection: an answer is a RestError, a time limit its own.
      if (!(error instanceof TypeError) || tries === TRIES_MAX) throw error
    }
  }
}

function messageOf(text: string): string {
  try {
    const json = JSON.parse(text) as { message?: unknown }
    return typeof json.message === 'string' ? json.message : text
  } catch {
    return text.trim()
  }
}
