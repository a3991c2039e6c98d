import { parseArgs } from 'node:util'
import { measureCost } from './prove-cost.mjs'
import { measureLatency } from './prove-latency.mjs'

// npm run bench -- prove [--only cost|latency] [--batches 12] [--round-seconds 10] [--json]
// What proving costs on Flow, and how long it takes from a sealed batch to its proof in hand.

export async function run(options) {
  const { values } = parseArgs({
    args: options,
    options: {
      only: { type: 'string' },
      batches: { type: 'string', default: '12' },
      'round-seconds': { type: 'string', default: '10' },
      json: { type: 'boolean', default: false },
    },
  })
  const { only } = values
  const cost = only === 'latency' ? undefined : await measureCost()
  const roundSeconds = Number(values['round-seconds'])
  const latency =
    only === 'cost' ? undefined : await measureLatency(Number(values.batches), roundSeconds)
  const ok = [cost, latency].every((part) => part === undefined || part.ok)
  if (values.json) console.log(JSON.stringify({ bench: 'prove', ok, cost, latency }))
  else show({ cost, latency })
  return ok ? 0 : 1
}

function show({ cost, latency }) {
  if (cost !== undefined) {
    console.log('a root:')
    console.table(cost.roots)
    console.log('a signing policy:')
    console.table(cost.policies)
  }
  if (latency !== undefined) console.log('from sealed to attested, in rounds:', latency)
}
