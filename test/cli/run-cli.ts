import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { onTestFinished } from 'vitest'
import { PATIENCE_MS } from '../support/patience.js'

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunParts {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** Node's own, before the program. */
  readonly nodeArgs?: readonly string[]
  /** Started as a supervisor such as PM2 does: with a channel to its parent. */
  readonly hasChannel?: boolean
}

export const root = resolve(import.meta.dirname, '../..')
export const mainFile = join(root, 'dist/src/main.js')

/** Runs the built program, as an operator does. Nothing of this process's own settings leaks in. */
export function runCli(args: readonly string[], parts: RunParts): Promise<Ran> {
  if (!existsSync(mainFile)) throw new Error(`${mainFile} is not there: npm run build`)
  return runNode([...(parts.nodeArgs ?? []), mainFile, ...args], parts)
}

export function runNode(args: readonly string[], parts: RunParts): Promise<Ran> {
  const child = spawnNode(args, parts)
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (code) => done({ code, stdout: stdout.join(''), stderr: stderr.join('') }))
  })
}

export function spawnNode(
  args: readonly string[],
  { cwd, env = {}, hasChannel = false }: RunParts,
): ChildProcess {
  const { PATH = '', HOME = '' } = process.env
  return spawn(process.execPath, [...args], {
    cwd,
    env: { PATH, HOME, ...env },
    stdio: hasChannel ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe'],
    timeout: PATIENCE_MS, // A command that hangs is killed and fails its test.
    killSignal: 'SIGKILL',
  })
}

/** A folder of its own for the running test, gone when it ends. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function collect(stream: NodeJS.ReadableStream | null): string[] {
  const chunks: string[] = []
  stream?.on('data', (chunk) => chunks.push(String(chunk)))
  return chunks
}
