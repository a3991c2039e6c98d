import type { IncomingHttpHeaders } from 'node:http'

/** More proxies than anybody has; a longer list is somebody playing. */
const HOPS_MAX = 32

export interface Client {
  /** Undefined where a trusted proxy passed on something that is no address. */
  readonly address: string | undefined
  /** Whether somebody passed it on: then loopback is no proof of being on this machine. */
  readonly isForwarded: boolean
  /** As a trusted proxy says. A connection of our own is never one. */
  readonly isHttps: boolean
}

/**
 * Who asks. X-Forwarded-For is read only when the connection comes from a trusted proxy, and then
 * from the right: each trusted proxy vouches for the address before it and for nothing more, so
 * what a client wrote there itself is never reached.
 */
export function clientOf(
  peer: string,
  headers: IncomingHttpHeaders,
  isTrusted: (address: string) => boolean,
): Client {
  const isPassedOn = headers.forwarded !== undefined || 'x-forwarded-for' in headers
  if (!isTrusted(peer)) return { address: peer, isForwarded: isPassedOn, isHttps: false }
  const isHttps = lastOf(headers['x-forwarded-proto']) === 'https'
  const hops = textOf(headers['x-forwarded-for']).split(',').map(addressOf)
  if (hops.length > HOPS_MAX) return { address: undefined, isForwarded: true, isHttps }
  // A trusted proxy that names nobody speaks for nobody: it has to be allowed itself.
  let address: string | undefined = peer
  for (const hop of hops.reverse()) {
    if (hop === '') break
    address = hop
    if (hop === undefined || !isTrusted(hop)) break
  }
  return { address, isForwarded: true, isHttps }
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:443`. */
function addressOf(hop: string): string | undefined {
  const [, address] = /^\s*(?:\[([^\]]+)\](?::\d{1,5})?)\s*$/.exec(hop) ?? []
  if (address !== undefined) return address
  const plain = hop.trim().replace(/^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/, '$1')
  return /^[0-9a-f.:]*$/i.test(plain) ? plain : undefined
}

function lastOf(header: string | string[] | undefined): string {
  return textOf(header).split(',').at(-1)?.trim().toLowerCase() ?? ''
}

function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '')
}
