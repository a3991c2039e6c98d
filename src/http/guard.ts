import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Caller, covers, type Role, sees } from '../domain/access.js'
import { assert } from '../domain/errors.js'
import { canonicalAccount } from '../domain/ids.js'
import { recognise } from '../pipeline/access-tokens.js'
import type { AccessTokens } from '../ports/access-tokens.js'
import type { Clock } from '../ports/clock.js'
import { addressSet, isLoopback } from '../runtime/addresses.js'
import { allowList } from './allow-list.js'
import { answer, notFound } from './answers.js'
import { foreignPage } from './browser.js'
import { type Client, clientOf } from './client-address.js'
import type { HttpConfig } from './config.js'
import { setSecurityHeaders } from './headers.js'
import { clientKey, RateLimit } from './rate-limit.js'
import { bearerOf, isSameToken } from './usage-token.js'

/**
 * What a route asks of its caller. Every route has to say it, in `config: { access }`: the server
 * does not start with one that does not.
 *
 * - `open`: nothing. For /health.
 * - `address`: an address that may ask at all. For what tells nothing of anybody: the page's files.
 * - `self`: such an address, and the route knows its callers by itself: a token of a source, a signature.
 * - a role, and for which accounts: `all` of them; those of the account in a path parameter, where
 *   any other is 404 as if there were none; or `own`, where the handler shows no more than
 *   `callerOf(request)` sees.
 */
export type Access =
  | 'open'
  | 'address'
  | 'self'
  | {
      readonly role: Role
      readonly accounts: 'all' | 'own' | { readonly param: string }
    }

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
  interface FastifyRequest {
    caller: Caller | undefined
  }
}

export interface GuardParts {
  readonly config: Partial<HttpConfig>
  readonly accessTokens: AccessTokens
  readonly clock: Clock
}

/** A minute, of one client. Whoever has the right token is right the first time. */
const FAILURES_A_MINUTE = 10
/** Of a request that may name no token: addresses are written down by everything on the way. */
const TOKEN_IN_URL =
  /[?&](?:access_?token|auth|authorization|token|api_?key|key)=|\bfm_[0-9a-f]{12}_/i

/** Who is asking: for handlers of routes with a role. */
export function callerOf(request: FastifyRequest): Caller {
  assert(request.caller !== undefined, 'the guard lets nobody in without knowing who it is')
  return request.caller
}

/**
 * Stands in front of every route. A request goes on when its address may ask, its client does not
 * ask too often, and what it shows covers what the route declares; by its address alone it may
 * read, and nothing else. Addresses of TOKEN_IPS may do what a token for some accounts may do.
 *
 * 400 a token in the URL · 401 no token, or none of ours · 403 this address, this role, or a foreign
 * page · 404 another's account · 429 too often
 */
export function addGuard(
  server: FastifyInstance,
  { config, accessTokens, clock }: GuardParts,
): void {
  const { adminToken, requireToken = false, httpHosts = [], httpRateLimit = 0 } = config
  const isNamed = allowList(config.allowedIps ?? [])
  const isTokenAddress = addressSet(config.tokenIps ?? [], 'TOKEN_IPS')
  const isTrusted = addressSet(config.trustedProxies ?? [], 'TRUSTED_PROXIES')
  const requests = new RateLimit(httpRateLimit, clock)
  const failures = new RateLimit(FAILURES_A_MINUTE, clock)
  const clients = new WeakMap<FastifyRequest, Client>()

  server.decorateRequest('caller', undefined)
  server.addHook('onRoute', ({ url, method, config: { access } = {} }) => {
    const methods = [method].flat()
    assert(access !== undefined, `${methods} ${url} declares no access`)
    const isRead = methods.every((one) => one === 'GET' || one === 'HEAD')
    const mayWrite = access === 'self' || (typeof access === 'object' && access.role !== 'read')
    assert(
      isRead || mayWrite,
      `${methods} ${url} may change something, and is only guarded as reading`,
    )
  })

  server.addHook('onRequest', async (request, reply) => {
    const client = clientOf(request.ip, request.headers, isTrusted)
    clients.set(request, client)
    setSecurityHeaders(reply, client.isHttps)
    const access = request.routeOptions.config.access ?? 'address'
    if (access === 'open') return
    const { address = '', isForwarded } = client
    const mayRead = isNamed(address, isForwarded)
    if (!mayRead && !isTokenAddress(address)) {
      return answer(reply, 403, 'forbidden', 'ALLOWED_IPS does not name you')
    }
    if (TOKEN_IN_URL.test(request.url)) {
      const how = 'a token goes into the header Authorization: Bearer; revoke one that was in a URL'
      return answer(reply, 400, 'token_in_url', how)
    }
    const key = clientKey(address)
    const isHere = !isForwarded && isLoopback(address)
    const { authorization } = request.headers
    if (authorization !== undefined) {
      const wait = failures.wait(key)
      if (wait !== undefined) return tooMany(reply, wait)
    }
    if (access === 'self') return
    if (authorization === undefined || access === 'address') {
      const wait = isHere ? undefined : requests.take(key)
      if (wait !== undefined) return tooMany(reply, wait)
      const foreign = foreignPage(request.headers, httpHosts)
      if (foreign !== undefined) return answer(reply, 403, 'foreign_page', foreign)
      if (access === 'address') return
      if (!mayRead || requireToken) return unauthorized(reply)
      request.caller = { name: `address ${address}`, role: 'read', scope: 'all' }
    } else {
      const caller = await bearer(authorization)
      if (caller === undefined) return unauthorized(reply)
      const wait = isHere ? undefined : requests.take(caller.name)
      if (wait !== undefined) return tooMany(reply, wait)
      if (!mayRead && (caller.scope === 'all' || caller.role === 'configure')) {
        return answer(reply, 403, 'forbidden', 'this token is taken from ALLOWED_IPS alone')
      }
      request.caller = caller
    }
    return allow(request, reply, access)
  })

  // Also those of routes that know their callers by themselves.
  server.addHook('onSend', async (request, reply) => {
    if (reply.statusCode !== 401 || request.headers.authorization === undefined) return
    failures.take(clientKey(clients.get(request)?.address ?? ''))
  })

  const bearer = async (authorization: string): Promise<Caller | undefined> => {
    const token = bearerOf(authorization)
    if (token === undefined) return undefined
    if (adminToken !== undefined && isSameToken(token, adminToken)) {
      return { name: 'ADMIN_TOKEN', role: 'configure', scope: 'all' }
    }
    return recognise(token, { accessTokens, clock })
  }
}

/** What the caller may is compared with what the route declares. */
function allow(
  request: FastifyRequest,
  reply: FastifyReply,
  { role, accounts }: Exclude<Access, string>,
): FastifyReply | undefined {
  const caller = callerOf(request)
  if (accounts !== 'all' && accounts !== 'own') {
    // Looked at before the role: whether there is such an account is nobody else's business.
    const params = request.params as Readonly<Record<string, string>>
    const account = canonicalAccount(params[accounts.param] ?? '')
    if (account === undefined || !sees(caller, account)) return notFound(reply)
  }
  if (!covers(caller.role, role)) {
    if (caller.tokenId === undefined) return unauthorized(reply)
    return answer(reply, 403, 'forbidden', `this needs the role ${role}`)
  }
  if (accounts === 'all' && caller.scope !== 'all') {
    return answer(reply, 403, 'forbidden', 'this token is for some accounts alone')
  }
  return undefined
}

function unauthorized(reply: FastifyReply): FastifyReply {
  reply.header('www-authenticate', 'Bearer')
  return answer(reply, 401, 'unauthorized', 'Authorization: Bearer and a token')
}

export function tooMany(reply: FastifyReply, seconds: number): FastifyReply {
  reply.header('retry-after', seconds)
  return answer(reply, 429, 'too_many_requests', `ask again in ${seconds} s`)
}
