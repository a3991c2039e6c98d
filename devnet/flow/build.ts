import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { takeLock } from './lock-file.js'

/** Measured: 5 min 20 s with empty caches on two busy cores. */
const BUILD_MS_MAX = 30 * 60_000
const PROGRESS_MS = 15_000
/** A module proxy that fails once often answers the second time. */
const BUILD_TRIES_MAX = 2
const LOCK_POLL_MS = 500

export interface BuildParts {
  /** The `go` program. */
  readonly go: string
  /** Gets a line now and then while it compiles. */
  readonly log?: (line: string) => void
}

/** Where the emulator of exactly these sources is, once it is built: outside of the checkout, so
 * that it survives a clean one. */
export function builtEmulatorPath(): string {
  const folder = moduleFolder()
  const files = readdirSync(folder).filter((name) => /^go\.(mod|sum)$|\.go$/.test(name))
  const hash = createHash('sha256')
  for (const name of files.sort()) hash.update(`${name}\0`).update(readFileSync(join(folder, name)))
  const goMod = readFileSync(join(folder, 'go.mod'), 'utf8')
  const version = /onflow\/flow-emulator v(\S+)/.exec(goMod)?.[1] ?? 'unknown'
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const name = `flow-emulator-${version}-${hash.digest('hex').slice(0, 12)}`
  return join(cache, 'flowmeter', name, 'flow-emulator')
}

/**
 * Builds the emulator with Go. Of two that build at once one waits for the other.
 *
 * @throws Error with the end of Go's output.
 */
export async function buildEmulator({ go, log = () => {} }: BuildParts): Promise<void> {
  const target = builtEmulatorPath()
  mkdirSync(dirname(target), { recursive: true })
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1000)
  const progress = setInterval(() => {
    log(`building the Flow emulator, once: ${seconds()} s (about 5 minutes with empty caches)`)
  }, PROGRESS_MS)
  try {
    const lock = await lockOrBuilt(target, startedMs + BUILD_MS_MAX)
    if (lock === 'built') return
    try {
      log('building the Flow emulator with Go, once')
      await compileTo(target, go, log)
      log(`built the Flow emulator in ${seconds()} s: ${target}`)
    } finally {
      lock.release()
    }
  } finally {
    clearInterval(progress)
  }
}

/** The right to build, or the news that somebody else has built meanwhile. */
async function lockOrBuilt(
  target: string,
  deadlineMs: number,
): Promise<'built' | { release(): void }> {
  for (;;) {
    const lock = takeLock(`${target}.lock`)
    if (!('heldBy' in lock)) {
      if (!existsSync(target)) return lock
      lock.release()
    }
    if (existsSync(target)) return 'built'
    if (performance.now() > deadlineMs) throw new Error(`${target}.lock is never released`)
    await sleep(LOCK_POLL_MS)
  }
}

async function compileTo(target: string, go: string, log: (line: string) => void): Promise<void> {
  const unfinished = `${target}.${process.pid}`
  try {
    for (let tries = 1; ; tries += 1) {
      const failure = await runGo(go, ['build', '-ldflags', '-s -w', '-o', unfinished, '.'])
      if (failure === undefined) break
      if (tries === BUILD_TRIES_MAX) throw new Error(`the Flow emulator did not build: ${failure}`)
      log(`building failed, once more: ${failure.split('\n').at(-1)}`)
    }
    renameSync(unfinished, target)
  } finally {
    rmSync(unfinished, { force: true })
  }
}

/** @returns the end of what Go said, if it failed. */
function runGo(go: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(go, [...args], {
      cwd: moduleFolder(),
      // Without the define, the crypto library uses instructions that some processors lack.
      env: { ...process.env, CGO_ENABLED: '1', CGO_CFLAGS: '-O2 -D__BLST_PORTABLE__' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: BUILD_MS_MAX,
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-4_000)
    })
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${said.trim()} (${signal ?? `exit code ${code}`})`),
    )
  })
}

/** `tools/flow-emulator`, seen from the sources and from `dist/`. */
function moduleFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const module = join(folder, 'tools', 'flow-emulator')
    if (existsSync(join(module, 'go.mod'))) return module
  }
  throw new Error('tools/flow-emulator is not there: the emulator can only be built in a checkout')
}
