import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../domain/errors.js'

const BITS = { 4: 32, 6: 128 } as const

/**
 * Who may ask. Loopback always may; the others are addresses or CIDR ranges.
 *
 * @throws ConfigError `allowed_ips` for an item that is neither
 */
export function allowList(items: readonly string[]): (address: string) => boolean {
  const allowed = new BlockList()
  for (const item of ['127.0.0.0/8', '::1', ...items]) {
    const [address = '', bits, ...rest] = item.split('/')
    const family = isIP(address)
    const isRange = bits === undefined || /^\d{1,3}$/.test(bits)
    if ((family !== 4 && family !== 6) || !isRange || rest.length > 0) throw noRange(item)
    const length = bits === undefined ? BITS[family] : Number(bits)
    if (length > BITS[family]) throw noRange(item)
    allowed.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  }
  return (address) => {
    // A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const family = isIP(plain)
    return family !== 0 && allowed.check(plain, family === 4 ? 'ipv4' : 'ipv6')
  }
}

function noRange(item: string): ConfigError {
  return new ConfigError(
    'allowed_ips',
    `ALLOWED_IPS: "${item}" is no address or CIDR range, such as 10.0.0.7 or 10.0.0.0/8`,
  )
}
