import { metricsOf } from '../../src/http/metrics.js'
import { Readiness } from '../../src/http/ready.js'
import type { ServerParts } from '../../src/http/server.js'
import { readStatus } from '../../src/pipeline/status.js'
import type { Store } from '../../src/ports/stores.js'
import type { ManualClock } from './manual-clock.js'

/** All that a server needs besides what a test is about, on a free port. */
export function quietServerParts(store: Store, clock: ManualClock): ServerParts {
  const status = () => readStatus({ stores: store, clock, version: '1.2.3', identity: {} })
  return {
    config: { host: '127.0.0.1', port: 0, allowedIps: [] },
    status,
    readiness: new Readiness(clock),
    metrics: metricsOf(status),
    accessTokens: store.accessTokens,
    shown: store,
    clock,
  }
}
