import type { FaultProxy, Proxied, ProxyFault } from './fault-proxy.js'
import { Random } from './litellm/random.js'

/** How bad the network is. */
export interface FaultPlan {
  /** The same seed gives the same row of faults. */
  readonly seed: number
  /** Of requests, 0 to 1. */
  readonly rate: number
}

const BUSY = '{"code":429,"message":"too many requests"}'
const BROKEN = '{"code":500,"message":"internal server error"}'
const UNKNOWN = '{"code":404,"message":"not found"}'

/** What may happen to any request. */
const FAULTS: readonly ProxyFault[] = [
  { kind: 'lostRequest' },
  { kind: 'lostAnswer' },
  { kind: 'delay', ms: 300 },
  { kind: 'answer', status: 429, body: BUSY },
  { kind: 'answer', status: 500, body: BROKEN },
  { kind: 'answer', status: 503, body: '<html>upstream is away</html>' },
  { kind: 'truncated' },
  { kind: 'slow', byteMs: 100 },
]

/** What nodes of Flow say besides. */
const RESULT_FAULTS: readonly ProxyFault[] = [
  { kind: 'emptyStatus' },
  { kind: 'answer', status: 404, body: UNKNOWN },
]
const STATE_FAULTS: readonly ProxyFault[] = [
  { kind: 'stale', blocks: 5 },
  { kind: 'stale', blocks: 200 },
]

/** Makes a proxy misbehave by a plan, until it is given another `faultOf`. */
export function followPlan(proxy: FaultProxy, { seed, rate }: FaultPlan): void {
  const random = new Random(seed)
  proxy.faultOf = (request) => {
    const isStruck = random.next() < rate
    return isStruck ? random.pick(faultsFor(request)) : undefined
  }
}

function faultsFor({ path }: Proxied): readonly ProxyFault[] {
  if (path.startsWith('/v1/transaction_results/')) return [...FAULTS, ...RESULT_FAULTS]
  const isState = /^\/v1\/(blocks|scripts|accounts)/.test(path)
  return isState ? [...FAULTS, ...STATE_FAULTS] : FAULTS
}
