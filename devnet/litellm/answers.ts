/** What goes back over HTTP, before it is written. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Thrown by a route to answer with an error. */
export class Refusal extends Error {
  readonly answer: Answer

  constructor(answer: Answer) {
    super(`answered with ${answer.status}`)
    this.answer = answer
  }
}

export function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** First of LiteLLM's four error shapes. Its `code` is a string. */
export function proxyError(status: number, type: string, message: string, param = 'None'): Answer {
  return { status, body: { error: { message, type, param, code: String(status) } } }
}

/** Second shape, FastAPI's own. */
export function detailText(status: number, detail: string): Answer {
  return { status, body: { detail } }
}

/** Third shape, of handlers that raise with an object. */
export function detailError(status: number, error: string): Answer {
  return { status, body: { detail: { error } } }
}

/** Fourth shape: one or more parameters out of their bounds, always 422. */
export function invalidQuery(name: string, type: string, msg: string, input: string): Answer {
  return { status: 422, body: { detail: [{ type, loc: ['query', name], msg, input }] } }
}

export const noDatabase = proxyError(401, 'internal_error', 'Prisma Client is not initialized')

export function keyNotFound(key: string): Answer {
  const shown = `sk-...${key.slice(-4)}`
  return proxyError(
    401,
    'token_not_found_in_db',
    `Authentication Error, Invalid proxy server token passed. Received API Key = ${shown}, ` +
      'Unable to find token in cache or `LiteLLM_VerificationTokenTable`',
    'key',
  )
}

export function roleDenied(route: string, role: string): Answer {
  return proxyError(
    401,
    'auth_error',
    'Authentication Error, Only proxy admin can be used to generate, delete, update info for ' +
      `new keys/users/teams. Route=${route}. Your role=${role}. Your user_id=watcher`,
  )
}
