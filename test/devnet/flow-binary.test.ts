import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findEmulator } from '../../devnet/flow/binary.js'
import { builtEmulatorPath } from '../../devnet/flow/build.js'
import { takeLock } from '../../devnet/flow/lock-file.js'

let dir: string

// An empty cache, and nothing on PATH but what a test puts there.
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-find-'))
  vi.stubEnv('XDG_CACHE_HOME', join(dir, 'cache'))
  vi.stubEnv('PATH', join(dir, 'bin'))
  vi.stubEnv('FLOW_EMULATOR', '')
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

test('FLOW_EMULATOR comes first, and must be a program', async () => {
  const program = script('emulator', '')
  vi.stubEnv('FLOW_EMULATOR', program)
  expect(await findEmulator()).toEqual([program])
  vi.stubEnv('FLOW_EMULATOR', script('flow', ''))
  expect(await findEmulator()).toEqual([join(dir, 'bin', 'flow'), 'emulator'])
  vi.stubEnv('FLOW_EMULATOR', join(dir, 'nothing'))
  await expect(findEmulator()).rejects.toThrow('which is no program')
})

test('then the one built earlier, of these very sources', async () => {
  const built = builtEmulatorPath()
  expect(built).toMatch(/cache\/flowmeter\/flow-emulator-1\.\d+\.\d+-[0-9a-f]{12}\/flow-emulator$/)
  mkdirSync(dirname(built), { recursive: true })
  writeFileSync(built, '')
  expect(await findEmulator()).toEqual([built])
})

test('then the Flow CLI, only where it will do', async () => {
  const flow = script('flow', '')
  expect(await findEmulator({ acceptsFlowCli: true })).toEqual([flow, 'emulator'])
  await expect(findEmulator()).rejects.toThrow('install Go')
})

// Goal: a first start on a new machine, with a module proxy that fails once and two that want the
// emulator at the same moment. Method: a `go` that fails at its first call and then "builds".
test('else it is built, once, after one failure, for all who wait', async () => {
  const calls = join(dir, 'calls')
  script(
    'go',
    `echo "$@" >> ${calls}
     if [ "$(/usr/bin/wc -l < ${calls})" -eq 1 ]; then echo "i/o timeout" >&2; exit 1; fi
     echo built > "$5"`,
  )
  const lines: string[] = []
  const log = (line: string): void => void lines.push(line)
  const found = await Promise.all([findEmulator({ log }), findEmulator()])
  const built = builtEmulatorPath()
  expect(found).toEqual([[built], [built]])
  expect(readFileSync(built, 'utf8')).toBe('built\n')
  expect(readFileSync(calls, 'utf8').trim().split('\n')).toHaveLength(2)
  expect(lines).toContainEqual(expect.stringContaining('i/o timeout'))
  expect(readdirSync(dirname(built))).toEqual(['flow-emulator'])
})

test('a build that fails twice says what Go said, and leaves nothing behind', async () => {
  script('go', 'echo "cgo: C compiler not found" >&2; exit 1')
  await expect(findEmulator()).rejects.toThrow('did not build: cgo: C compiler not found')
  expect(existsSync(builtEmulatorPath())).toBe(false)
  expect(readdirSync(dirname(builtEmulatorPath()))).toEqual([])
})

test('a lock is held by one, and taken over from a process that is gone', () => {
  const path = join(dir, 'lock')
  const lock = takeLock(path)
  if ('heldBy' in lock) throw new Error('nobody held it')
  expect(takeLock(path)).toEqual({ heldBy: process.pid })
  lock.handTo(2 ** 30) // Above every process id that Linux gives.
  const next = takeLock(path)
  if ('heldBy' in next) throw new Error('its holder is gone')
  next.release()
  expect(existsSync(path)).toBe(false)
})

function script(name: string, body: string): string {
  const path = join(dir, 'bin', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}
