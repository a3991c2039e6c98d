import { fromHex, type Hex, hash, keccak } from '../../domain/bytes.js'
import { usageAnchorDeployed } from './anchor-code.js'

/** Whether it is this release's contract, whatever its constructor wrote into it. */
export function isAnchorCode(code: Hex): boolean {
  const bytes = fromHex(code)
  for (const [start, length] of usageAnchorDeployed.immutables) {
    bytes.fill(0, start, start + length)
  }
  return keccak(bytes) === hash(usageAnchorDeployed.hash)
}
