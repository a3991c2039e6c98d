import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const ROOT = resolve(import.meta.dirname, '../..')

/** Compiles the simulations to a folder of their own, and takes it away after the work in it. */
export async function inSimulationBuild(work: (dist: string) => Promise<void>): Promise<void> {
  // Not into `dist` itself, which other tests run meanwhile; within it, where packages are found.
  const dist = mkdtempSync(join(ROOT, 'dist/simulation-'))
  try {
    const options = ['-p', 'test/simulation', '--outDir', dist, '--incremental', 'false']
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await promisify(execFile)(
      process.execPath,
      [...[tsc, ...options, '--tsBuildInfoFile', 'null', '--sourceMap', 'false']],
      { cwd: ROOT },
    )
    await work(dist)
  } finally {
    rmSync(dist, { recursive: true })
  }
}
