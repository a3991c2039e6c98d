import { md5 as digest } from '@noble/hashes/legacy.js'
import { type Hex, toHex } from './bytes.js'

/** 16 bytes. Only to agree with integrations that used it: it tells nothing apart safely. */
export function md5(bytes: Uint8Array): Hex {
  return toHex(digest(bytes))
}
