import { isIPv6 } from 'node:net'
import type { Clock } from '../ports/clock.js'

/** Clients that are remembered. The one seen longest ago makes room, and begins anew with all. */
const CLIENTS_MAX = 10_000
const MINUTE_MS = 60_000

/** A bucket a client: it holds as many requests as are allowed in a minute, and fills evenly. */
export class RateLimit {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #buckets = new Map<string, { left: number; atMs: number }>()

  /** @param perMinute 0 for no limit */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** Takes one; undefined, or the seconds after which there is one again. */
  take(client: string): number | undefined {
    const wait = this.wait(client)
    const bucket = this.#buckets.get(client)
    if (wait === undefined && bucket !== undefined) bucket.left -= 1
    return wait
  }

  /** As `take`, and takes none. */
  wait(client: string): number | undefined {
    if (this.#perMinute === 0) return undefined
    const { left } = this.#filled(client)
    return left >= 1 ? undefined : Math.ceil(((1 - left) * MINUTE_MS) / this.#perMinute / 1000)
  }

  #filled(client: string): { left: number } {
    const nowMs = this.#clock.now()
    const { left, atMs } = this.#buckets.get(client) ?? { left: this.#perMinute, atMs: nowMs }
    // A clock that was set back fills nothing, and takes nothing.
    const gained = (Math.max(0, nowMs - atMs) * this.#perMinute) / MINUTE_MS
    const bucket = { left: Math.min(this.#perMinute, left + gained), atMs: nowMs }
    this.#buckets.delete(client) // What was seen last stands last.
    this.#buckets.set(client, bucket)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > CLIENTS_MAX && oldest !== undefined) this.#buckets.delete(oldest)
    return bucket
  }
}

/** Whoever has one IPv6 address has 2^64 of them: they are one client. */
export function clientKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.toLowerCase().split('%')[0]?.split('::') ?? []
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const zeros = Math.max(0, 8 - left.length - right.length)
  const all = tail === undefined ? left : [...left, ...Array<string>(zeros).fill('0'), ...right]
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
