import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

interface Change {
  /** Below `src`, compiled. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** A mistake that could be made here, as a change of the compiled program. */
export interface PlantedBug {
  readonly name: string
  readonly changes: readonly Change[]
}

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

/** The changes of a bug that no longer fit the program compiled to `dist`, one line each. */
export function misfits(dist: string, { name, changes }: PlantedBug): string[] {
  return changes
    .filter(({ file, from }) => !readFileSync(join(dist, 'src', file), 'utf8').includes(from))
    .map(({ file, from }) => `${name}: ${file} has no "${from}"`)
}

/**
 * Plays seeds with the bug in a copy of what was compiled to `dist`, in a process of its own. Returns
 * those that found it.
 */
export async function seedsThatFind(
  dist: string,
  { changes }: PlantedBug,
  seeds: number,
): Promise<number[]> {
  // Within it, so that packages are found as they are from there.
  const folder = mkdtempSync(join(dist, 'planted-'))
  try {
    for (const room of ['src', 'devnet', 'test/simulation/source']) {
      cpSync(join(dist, room), join(folder, room), { recursive: true })
    }
    for (const { file, from, to } of changes) {
      const path = join(folder, 'src', file)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to))
    }
    const main = join(folder, 'test/simulation/source/main.js')
    const told = await toldBy(main, ['--seeds', String(seeds), '--json'])
    return [...told.matchAll(/^seed (\d+)$/gm)].map(([, seed]) => Number(seed))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What a run says of its seeds. That it ends with an error is what is hoped for. */
function toldBy(script: string, options: readonly string[]): Promise<string> {
  return new Promise((resolvePromise) => {
    const settings = { cwd: dirname(script), maxBuffer: 256 * 1024 * 1024 }
    execFile(process.execPath, [script, ...options], settings, (_error, _stdout, stderr) => {
      resolvePromise(stderr)
    })
  })
}
