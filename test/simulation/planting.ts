import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Change {
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

/** Where a simulation is, and what of the compiled tree it needs. */
export interface Simulation {
  /** Below `test/simulation`, compiled. */
  readonly main: string
  /** Compiled folders that it needs besides the simulations. */
  readonly rooms: readonly string[]
}

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
  { main, rooms }: Simulation,
  options: readonly string[],
): Promise<number[]> {
  // Within it, so that packages are found as they are from there.
  const folder = mkdtempSync(join(dist, 'planted-'))
  try {
    for (const room of ['src', 'devnet', 'test/simulation', ...rooms]) {
      cpSync(join(dist, room), join(folder, room), { recursive: true })
    }
    for (const { file, from, to } of changes) {
      const path = join(folder, 'src', file)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to))
    }
    const told = await toldBy(join(folder, 'test/simulation', main), [...options, '--json'])
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

/** Each mistake alone: a simulation that finds none of them would say nothing of the program. */
export async function plantAll(
  dist: string,
  bugs: readonly PlantedBug[],
  find: (bug: PlantedBug) => Promise<readonly number[]>,
  { seeds, isJson }: { readonly seeds: number; readonly isJson: boolean },
): Promise<void> {
  const problems = bugs.flatMap((bug) => misfits(dist, bug))
  if (problems.length > 0) throw new Error(problems.join('\n'))
  const planted: { readonly bug: string; readonly foundBy: readonly number[] }[] = []
  for (const bug of bugs) {
    const foundBy = await find(bug)
    planted.push({ bug: bug.name, foundBy })
    if (!isJson) process.stdout.write(`${bug.name}: ${foundBy.join(', ') || 'NOT FOUND'}\n`)
  }
  if (isJson) process.stdout.write(`${JSON.stringify({ seeds, planted })}\n`)
  if (planted.some(({ foundBy }) => foundBy.length === 0)) process.exitCode = 1
}
