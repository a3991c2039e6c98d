import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

/** Names that no public DNS has: nobody can let one of theirs point at this machine. */
const PRIVATE_NAME = /^(?:[a-z0-9_-]+|.+\.(?:localhost|internal|svc|svc\.cluster\.local))$/

/**
 * Why a request that is let in by its address alone is not taken from a browser: a page of somebody
 * else is asking with that address. Undefined when there is no sign of it.
 */
export function foreignPage(
  headers: IncomingHttpHeaders,
  hosts: readonly string[],
): string | undefined {
  const { host = '', origin } = headers
  const name = nameOf(host)
  // DNS rebinding: a foreign name that suddenly means our address comes with that name.
  if (isIP(name) === 0 && !PRIVATE_NAME.test(name) && !hosts.includes(name) && host !== '') {
    return 'this host name is not in HTTP_HOSTS'
  }
  if (origin !== undefined && originHost(origin) !== host.toLowerCase()) {
    return 'another site asks'
  }
  const site = headers['sec-fetch-site']
  const isLink =
    headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  const isForeign = site === 'cross-site' || site === 'same-site'
  return isForeign && !isLink ? 'another site asks' : undefined
}

function nameOf(host: string): string {
  const [, v6] = /^\[([^\]]+)\]/.exec(host) ?? []
  return v6 ?? host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

/** Host and port; undefined for `null` and all that is no URL. */
function originHost(origin: string): string | undefined {
  try {
    return new URL(origin).host
  } catch {
    return undefined
  }
}
