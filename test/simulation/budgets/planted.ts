import {
  type Change,
  seedsThatFind as found,
  type PlantedBug,
  type Simulation,
} from '../planting.js'

export { misfits } from '../planting.js'

const one = (file: string, from: string, to: string): Change => ({ file, from, to })

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'the reserve is ignored',
    changes: [
      one(
        'pricing/runway.js',
        'const isDry = available <= reserve;',
        'const isDry = available <= 0n;',
      ),
    ],
  },
  {
    name: 'usage that is not settled is forgotten',
    changes: [one('pricing/runway.js', 'wad(funds - unsettled)', 'wad(funds)')],
  },
  {
    name: 'the exposure does not know of the proxies’ memory',
    changes: [
      one('pipeline/budget-settings.js', ' + CACHES_IN_A_ROW * keyCacheMs', ' + 0 * keyCacheMs'),
    ],
  },
  {
    name: 'the exposure does not know that a block may be undone in memory',
    changes: [one('pipeline/budget-settings.js', 'CACHES_IN_A_ROW = 2', 'CACHES_IN_A_ROW = 1')],
  },
  {
    name: 'the exposure begins now, not where knowledge ends',
    changes: [
      one(
        'pipeline/budget-settings.js',
        'return knownForMs + lookMs + lookTookMs + syncMs + CACHES_IN_A_ROW',
        'return lookMs + lookTookMs + syncMs + CACHES_IN_A_ROW',
      ),
    ],
  },
  {
    name: 'calls in hand are forgotten',
    changes: [
      one(
        'pricing/worst-usage.js',
        'const inHand = callsAtOnce * callTokens;',
        'const inHand = 0n * callsAtOnce * callTokens;',
      ),
    ],
  },
  {
    name: 'each key has one proxy',
    changes: [one('pricing/worst-usage.js', 'tokens += proxies * (', 'tokens += (')],
  },
  {
    name: 'holds of others are lifted, too',
    changes: [
      one(
        'pipeline/place-holds.js',
        'const isOurs = OURS.some((reason) => reason === one.reason);',
        'const isOurs = true;',
      ),
    ],
  },
  {
    name: 'whatever is blocked at LiteLLM is ours',
    changes: [
      one(
        'pipeline/sync-keys.js',
        'const isMarked = before.blockMark === key.blockMark;',
        'const isMarked = true;',
      ),
    ],
  },
  {
    name: 'a hold is lifted when Flow cannot be read',
    changes: [
      one(
        'pipeline/place-holds.js',
        'if (state === undefined)',
        'if (!facts.isFresh) return { wanted: [], keep: [] };\n    if (state === undefined)',
      ),
    ],
  },
  {
    name: 'a deposit is seen when the next batch is settled',
    changes: [
      one(
        'pipeline/account-facts.js',
        'const balances = await settler.balances(accounts, signal, height);',
        'const balances = keys.length === 0 ? [] : await settler.balances(accounts, signal, height);',
      ),
    ],
  },
  {
    name: 'what Flow has charged counts once more until it is read back',
    changes: [
      one(
        'pipeline/account-facts.js',
        'charged: charged.get(nameOf({ accountNumber, periodStart })) ?? wad(0n),',
        'charged: wad(0n),',
      ),
    ],
  },
  {
    name: 'a hold that has ended stays at LiteLLM',
    changes: [
      one(
        'store/holds.js',
        'await noteEnd(tx, clock, row);\n    await touchKeys(tx, clock, touched(row));',
        'await noteEnd(tx, clock, row);',
      ),
    ],
  },
  {
    name: 'a charge to credits is the whole charge of the period',
    changes: [
      one(
        'pipeline/charge-credits.js',
        'chargeInMillicredits(record.charged) - charged',
        'chargeInMillicredits(record.charged) - 0n * charged',
      ),
    ],
  },
]

const SIMULATION: Simulation = {
  main: 'budgets/main.js',
  rooms: ['test/support'],
}

/** The first of them, if any does. */
export function seedsThatFind(dist: string, bug: PlantedBug, seeds: number): Promise<number[]> {
  return found(dist, bug, SIMULATION, ['--seeds', String(seeds), '--first'])
}
