import { addressSet, areAddresses, isLoopback } from './addresses.js'

/** A name, or `.example.internal` for all names below it. */
const HOST_NAME = /^\.?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/i

export type HostFilter = (host: string) => boolean

/**
 * Hosts that are named one by one: names, `.domain` for all below it, addresses, CIDR ranges (of hosts
 * that are written as addresses: names are not looked up). Undefined where an item is none of these.
 */
export function hostFilter(items: readonly string[]): HostFilter | undefined {
  const addresses = items.filter((item) => areAddresses([item]))
  const names = items.filter((item) => !addresses.includes(item)).map((name) => name.toLowerCase())
  // Whoever means to switch the rule off is told that only hosts can be named.
  if (!names.every((name) => HOST_NAME.test(name) && name !== 'true' && name !== 'false')) {
    return undefined
  }
  const isAddress = addressSet(addresses, '')
  return (host) =>
    isAddress(host) ||
    names.some((name) => (name.startsWith('.') ? host.endsWith(name) : host === name))
}

const PLAIN_HTTP =
  'is http:// to another machine. Use https://, or name its host in ALLOW_INSECURE_HTTP if the ' +
  'network between them is yours alone'
const PLAIN_DATABASE =
  'is a database on another machine. Add sslmode=verify-full to the URL, or name its host in ' +
  'ALLOW_INSECURE_HTTP if the network between them is yours alone'
const UNREADABLE = 'is no URL that can be read: write special characters of the password as %XX'

/**
 * Why what a setting says must not be connected to; undefined where it may, or is no URL. Lists have
 * commas between their items. Traffic to this machine never leaves it.
 */
export function plainTextProblem(value: string, isAllowed: HostFilter): string | undefined {
  if (/^\s*postgres(ql)?:/i.test(value)) return databaseProblem(value.trim(), isAllowed)
  const isPlain = value
    .split(',')
    .map((part) => part.trim())
    .some((part) => {
      if (!URL.canParse(part)) return false
      const { protocol, hostname } = new URL(part)
      return protocol === 'http:' && !isLocal(hostname) && !isAllowed(bareHost(hostname))
    })
  return isPlain ? PLAIN_HTTP : undefined
}

/** As node-postgres reads it: `host` and `sslmode` of the query win, a path is a socket. */
function databaseProblem(value: string, isAllowed: HostFilter): string | undefined {
  const text = value.replace(/@(?=\/)/, '@localhost')
  if (!URL.canParse(text)) return UNREADABLE
  const { hostname, searchParams } = new URL(text)
  const { host = decodeURIComponent(hostname), sslmode } = Object.fromEntries(searchParams)
  if (host.startsWith('/') || isLocal(host) || isAllowed(bareHost(host))) return undefined
  // Its other modes take any certificate, or will in its next major version.
  return sslmode === 'verify-full' ? undefined : PLAIN_DATABASE
}

function isLocal(hostname: string): boolean {
  const host = bareHost(hostname)
  return host === 'localhost' || isLoopback(host)
}

function bareHost(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1')
}
