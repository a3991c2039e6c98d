import { type Hash, keccak, utf8 } from './bytes.js'
import { canonicalJson } from './canonical-json.js'

/** One thing that an operator did. */
export interface LogEntry {
  /** From 1, without gaps. */
  readonly id: number
  readonly atMs: number
  readonly who: string
  /** Such as `correct` or `parked retry`. */
  readonly verb: string
  readonly arguments: Readonly<Record<string, string>>
  readonly reason: string
  /** Of the entry before; zero for the first. */
  readonly prevHash: Hash
}

/** Binds an entry, and by `prevHash` all before it. keccak of its canonical JSON. */
export function logEntryHash(entry: LogEntry): Hash {
  const { id, atMs, who, verb, reason, prevHash } = entry
  const numbers = { id: id.toString(), atMs: atMs.toString() }
  const rest = { who, verb, reason, prevHash, arguments: entry.arguments }
  return keccak(utf8(canonicalJson({ ...numbers, ...rest })))
}
