import {
  type Change,
  seedsThatFind as found,
  type PlantedBug,
  type Simulation,
} from '../planting.js'

export { misfits } from '../planting.js'

const one = (file: string, from: string, to: string): Change => ({ file, from, to })

const BELIEVED = one(
  'sources/litellm/source.js',
  'if (isCapped ? rows.size === knownBefore : rows.size === total)',
  'if (true)',
)
const SAVE_CURSOR = `await db.updateTable('sources').set({
  read_until_ms: sql\`max(read_until_ms, \${BigInt(slice.range.untilMs)})\` }).where('name', '=', source).execute()`
const OVERWRITE = `await db.updateTable('usage_records').set({ prompt_tokens: record.promptTokens,
  user: record.payers.user, excluded: record.excluded ?? null })
  .where('source', '=', source).where('request_id', '=', record.key.requestId).execute()`

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'the cursor is saved before the rows, in a transaction of its own',
    changes: [
      one(
        'store/records.js',
        'saveSlice: (source, slice, readAtMs) => inTransaction(db,',
        `saveSlice: async (source, slice, readAtMs) => (${SAVE_CURSOR}, inTransaction)(db,`,
      ),
    ],
  },
  {
    name: 'no overlap',
    changes: [one('pipeline/collect.js', 'untilMs) - overlapMs);', 'untilMs) - 0 * overlapMs);')],
  },
  {
    name: 'no deep re-scan',
    changes: [one('pipeline/collect.js', 'if (rescanMs === 0 ||', 'if (true ||')],
  },
  {
    name: 'no dedupe: a row’s id depends on when it was read',
    changes: [
      one(
        'store/intake.js',
        'values.push(key.source, key.requestId,',
        `values.push(key.source, \`\${key.requestId}@\${seenAtMs}\`,`,
      ),
    ],
  },
  {
    name: 'a changed row replaces the one that was billed',
    changes: [
      one('store/intake.js', 'await putInQuarantine(db, record, differs, seenAtMs);', OVERWRITE),
    ],
  },
  {
    name: 'calls under a second source are not compared',
    changes: [one('store/intake.js', 'if (others.length === 0)', 'if (true)')],
  },
  {
    name: 'pages by OFFSET over the whole window, without narrowing it',
    changes: [one('sources/litellm/source.js', 'if (widthS === 1)', 'if (true)'), BELIEVED],
  },
  { name: 'one walk over a full second is believed', changes: [BELIEVED] },
  {
    name: 'a slice that ended early is saved as if all of it had been read',
    changes: [
      one(
        'sources/litellm/source.js',
        'const untilMs = Math.min(seconds.until * MS, range.untilMs);',
        'const { untilMs } = range;',
      ),
    ],
  },
  {
    name: 'ranges go by our own clock',
    changes: [
      one(
        'pipeline/collect.js',
        'const nowMs = await source.now(signal);',
        'const nowMs = clock.now();',
      ),
    ],
  },
  {
    name: 'failures count',
    changes: [
      one('sources/litellm/parse.js', "if (log.status === 'failure') {", 'if (false) {'),
      one(
        'sources/litellm/parse.js',
        "if (log.status !== '' && log.status !== 'success') {",
        'if (false) {',
      ),
    ],
  },
]

const SIMULATION: Simulation = { main: 'source/main.js', rooms: [] }

export function seedsThatFind(dist: string, bug: PlantedBug, seeds: number): Promise<number[]> {
  return found(dist, bug, SIMULATION, ['--seeds', String(seeds)])
}
