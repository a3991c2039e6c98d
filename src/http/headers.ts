import type { FastifyReply } from 'fastify'

/** A year, as browsers want it before they believe. */
const HSTS = 'max-age=31536000'

/**
 * What every answer says to a browser: run and load nothing that is not ours, show it in no frame,
 * guess no type, tell no other site where we were, keep no copy.
 */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
}

export function setSecurityHeaders(reply: FastifyReply, isHttps: boolean): void {
  reply.headers(HEADERS)
  if (isHttps) reply.header('strict-transport-security', HSTS)
}
