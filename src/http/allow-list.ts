import { addressSet, isLoopback } from '../runtime/addresses.js'

/**
 * Who may ask. Loopback may by itself, unless the request was passed on by a proxy on this machine:
 * then it comes from anywhere. The others are addresses or CIDR ranges.
 *
 * @throws ConfigError `allowed_ips` for an item that is neither
 */
export function allowList(
  items: readonly string[],
): (address: string, isForwarded?: boolean) => boolean {
  const isNamed = addressSet(items, 'ALLOWED_IPS')
  return (address, isForwarded = false) => isNamed(address) || (!isForwarded && isLoopback(address))
}
