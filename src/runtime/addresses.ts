import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../domain/errors.js'

const BITS = { 4: 32, 6: 128 } as const

/** Whether every item is an address or a CIDR range. */
export function areAddresses(items: readonly string[]): boolean {
  try {
    addressSet(items, '')
    return true
  } catch {
    return false
  }
}

/** @throws ConfigError `allowed_ips` for an item that is neither an address nor a CIDR range */
export function addressSet(
  items: readonly string[],
  setting: string,
): (address: string) => boolean {
  const named = blockList(items, setting)
  return (address) => {
    // A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const family = isIP(plain)
    if (family === 0) return false
    return named.check(plain, family === 4 ? 'ipv4' : 'ipv6')
  }
}

export const isLoopback = addressSet(['127.0.0.0/8', '::1'], '')

function blockList(items: readonly string[], setting: string): BlockList {
  const allowed = new BlockList()
  for (const item of items) {
    const [address = '', bits, ...rest] = item.split('/')
    const family = isIP(address)
    const isRange = bits === undefined || /^\d{1,3}$/.test(bits)
    if ((family !== 4 && family !== 6) || !isRange || rest.length > 0) throw noRange(item, setting)
    const length = bits === undefined ? BITS[family] : Number(bits)
    if (length > BITS[family]) throw noRange(item, setting)
    allowed.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  }
  return allowed
}

function noRange(item: string, setting: string): ConfigError {
  return new ConfigError(
    'allowed_ips',
    `${setting}: "${item}" is no address or CIDR range, such as 10.0.0.7 or 10.0.0.0/8`,
  )
}
