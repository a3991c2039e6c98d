import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import { exitCodeOf } from '../../src/cli/exit-code.js'
import type { OperationsTools } from '../../src/cli/operations-tools.js'
import { ConfigError, RetryableError, TerminalError } from '../../src/domain/errors.js'
import { accountNumber } from '../../src/domain/ids.js'
import type { Status } from '../../src/pipeline/status.js'
import type { Finding } from '../../src/ports/finding.js'
import { root, runCli, runNode, tempFolder } from './run-cli.js'
import { runProgram } from './run-program.js'
import { COMPLETE_ENV, REQUIRED } from './settings.js'

const fine: Finding = { check: 'node', verdict: 'ok', says: 'v20' }
const broken: Finding = {
  check: 'flare rpc',
  verdict: 'broken',
  says: 'silent',
  fix: 'Look there.',
}

describe('exit codes', () => {
  test('78 for settings and identity, 2 for what was typed wrong, 0 for help, 1 for all else', () => {
    expect(exitCodeOf(new ConfigError('settings', 'wrong'))).toBe(78)
    expect(exitCodeOf(new CommanderError(1, 'commander.unknownCommand', 'unknown'))).toBe(2)
    expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', 'help'))).toBe(0)
    expect(exitCodeOf(new CommanderError(78, 'commander.error', 'doctor'))).toBe(78)
    expect(exitCodeOf(new RetryableError('busy', 'busy'))).toBe(1)
    expect(exitCodeOf(new TypeError('a bug'))).toBe(1)
  })

  test.each([
    [['nonsense'], 2, "unknown command 'nonsense'"],
    [['map'], 2, "missing required argument 'user'"],
    [['map', '1', '--jsno'], 2, "unknown option '--jsno'"],
    [['map', '1', '2'], 2, 'too many arguments'],
    [['directory', 'set', 'alice'], 2, "missing required argument 'account'"],
  ])('%s', async (args, code, says) => {
    const run = await runCli(args, { cwd: tempFolder() })
    expect([run.code, run.stdout]).toEqual([code, ''])
    expect(run.stderr).toContain(says)
  })

  test('--help and --version are answers, not errors', async () => {
    const cwd = tempFolder()
    const help = await runCli(['--help'], { cwd })
    for (const name of ['start', 'demo', 'map', 'status', 'doctor', 'directory']) {
      expect(help.stdout).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'))
    }
    expect([help.code, help.stderr]).toEqual([0, ''])
    expect(await runCli(['--version'], { cwd })).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' })
  })

  test('no command at all: the help, on stderr, and exit code 2', async () => {
    const run = await runCli([], { cwd: tempFolder() })
    expect([run.code, run.stdout]).toEqual([2, ''])
    expect(run.stderr).toContain('Usage: flowmeter')
  })

  test.each(['start', 'doctor'])(
    '%s with wrong settings: 78, all problems, no stack',
    async (name) => {
      const cwd = tempFolder()
      const env = { METER_KEY: 'canary-that-is-no-key' }
      const { code, stdout, stderr } = await runCli([name], { cwd, env })
      expect([code, stdout]).toEqual([78, ''])
      for (const setting of REQUIRED) expect(stderr).toContain(`  - ${setting}: `)
      expect(stderr).not.toMatch(/canary|\n\s+at /)
    },
  )

  // PM2 starts a process with a channel, and its module in there listens to it, which keeps Node
  // running: a daemon with wrong settings would stay `online` for ever, and every stop be a kill.
  test('under PM2 the process ends when its work does', async () => {
    const cwd = tempFolder()
    const listener = 'data:text/javascript,process.on("message",()=>{})'
    const parts = { cwd, hasChannel: true, nodeArgs: ['--import', listener] }
    const mapped = await runCli(['map', '42'], parts)
    expect([mapped.code, mapped.stderr]).toEqual([0, ''])
    expect((await runCli(['start'], parts)).code).toBe(78)
  })
})

describe('flowmeter doctor', () => {
  test('all well: exit code 0', async () => {
    const { code, lines } = await runProgram(['doctor'], { examine: async () => [fine] })
    expect([code, lines]).toEqual([0, ['ok       node: v20']])
  })

  test('something broken: what, how to mend it, and exit code 78', async () => {
    const { code, lines } = await runProgram(['doctor'], { examine: async () => [fine, broken] })
    expect(code).toBe(78)
    expect(lines.slice(1)).toEqual([
      'BROKEN   flare rpc: silent',
      '         fix: Look there.',
      'stderr: error: 1 thing is broken, see above',
    ])
  })

  test('--json: one object', async () => {
    const { code, lines } = await runProgram(['doctor', '--json'], {
      examine: async () => [broken],
    })
    expect(JSON.parse(lines[0] ?? '')).toEqual({ ok: false, findings: [broken] })
    expect(code).toBe(78)
  })

  test('looks at everything even when nothing answers, and shows no secret', async () => {
    const run = await runCli(['doctor', '--json'], { cwd: tempFolder(), env: COMPLETE_ENV })
    expect(run.code).toBe(78)
    const { ok, findings } = JSON.parse(run.stdout) as { ok: boolean; findings: Finding[] }
    expect(ok).toBe(false)
    const rooms = new Set(findings.map(({ check }) => check?.split(' ')[0]))
    expect([...rooms]).toEqual(expect.arrayContaining(['node', 'store', 'source', 'flare', 'flow']))
    for (const { verdict, fix } of findings) {
      if (verdict === 'broken') expect(fix?.length).toBeGreaterThan(10)
    }
    for (const secret of secretsOf(COMPLETE_ENV)) {
      expect(run.stdout + run.stderr).not.toContain(secret)
    }
  })
})

describe('flowmeter status', () => {
  test('before the first start: says so, exit code 78', async () => {
    const run = await runCli(['status'], { cwd: tempFolder() })
    expect([run.code, run.stdout]).toEqual([78, ''])
    expect(run.stderr).toMatch(
      /^error: There is no store at data\/flowmeter\.sqlite yet\. .*flowmeter start/,
    )
  })

  test('of a store without any source yet', async () => {
    const cwd = tempFolder()
    await runCli(['directory', 'set', 'alice', '12'], { cwd })
    const text = await runCli(['status'], { cwd })
    expect([text.code, text.stderr]).toEqual([0, ''])
    expect(text.stdout).toContain('waiting: nothing')
    const json = await runCli(['status', '--json'], { cwd })
    expect(JSON.parse(json.stdout)).toMatchObject({
      version: '0.1.0',
      sources: [],
      records: { total: 0, sealed: 0 },
      unmapped: { records: 0, payers: [] },
      parked: [],
    })
  })

  test('in words: what waits, what is wrong, what does not add up', async () => {
    const { code, lines } = await runProgram(['status'], { readStatus: async () => troubled })
    expect(code).toBe(0)
    const text = lines.join('\n')
    expect(text).toContain(
      'source main: read until 2026-09-21T00:00:00.000Z (90 s ago), source_refused',
    )
    expect(text).toContain('waiting: sealed 1 (oldest 4000 s)')
    expect(text).toContain('"mallory": 3 records; is not in the directory')
    expect(text).toContain('parked: batch 7: a reason')
    expect(text).toContain('pool: 5')
    expect(text).not.toContain('roots: 0')
  })
})

describe('flowmeter start', () => {
  test('--json is taken: the log is JSON lines anyway', async () => {
    let started = 0
    const start = async (): Promise<void> => {
      started += 1
    }
    expect((await runProgram(['start', '--json'], { start })).code).toBe(0)
    expect(started).toBe(1)
  })
})

describe('scripts/flowmeter.mjs, which npx runs', () => {
  test('runs the built program, with its arguments and exit code', async () => {
    const script = join(root, 'scripts/flowmeter.mjs')
    const run = await runNode([script, 'map', 'alice', '--json'], { cwd: tempFolder() })
    expect([run.code, JSON.parse(run.stdout).payer]).toEqual([2, 'alice'])
  })

  test('before the first build says what to do', async () => {
    const cwd = tempFolder()
    const script = join(cwd, 'flowmeter.mjs')
    copyFileSync(join(root, 'scripts/flowmeter.mjs'), script)
    const run = await runNode([script, 'map', '1'], { cwd })
    expect([run.code, run.stderr]).toEqual([
      78,
      'error: flowmeter is not built yet. Run: npm ci && npm run build\n',
    ])
  })
})

function secretsOf(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).flatMap(([name, value]) =>
    /_KEY$|SECRET/.test(name) ? [value, value.replace(/^0x/, '')] : [],
  )
}

const troubled: Status = {
  version: '1.2.3',
  at: '2026-09-21T00:01:30.000Z',
  identity: {},
  sources: [
    {
      name: 'main',
      readUntil: '2026-09-21T00:00:00.000Z',
      lagS: 90,
      warnings: [],
      problem: { code: 'source_refused', message: 'LiteLLM answered 401' },
    },
  ],
  records: { total: 10, excluded: 1, rejected: 2, sealed: 5 },
  backlog: { collected: { count: 0 }, sealed: { count: 1, oldestAgeS: 4000 } },
  unmapped: {
    records: 3,
    payers: [{ payer: 'mallory', reason: 'is not in the directory', records: 3 }],
  },
  parked: [{ seq: '7', reason: 'a reason' }],
  batches: [],
  transactions: [],
  wallets: [],
  refusedEntries: 0,
  held: [],
  pendingCorrections: 0,
  alarms: [],
  conservation: { at: '2026-09-21T00:01:00.000Z', checks: { pool: '5', roots: '0' } },
}

describe('what keeps a daemon going', () => {
  const entry = { accountNumber: accountNumber(7n), periodStart: 1_788_220_800 }
  const calls: unknown[] = []
  const tools: OperationsTools = {
    log: async () => [],
    verifyLog: async () => [{ at: 'entry 2', what: 'is not what was written' }],
    audit: async () => ({ pool: 5n, roots: 0n }),
    backup: async () => ({ bytes: 4_096 }),
    adopt: async () => ({ batches: 2, lastSeq: 3n, entries: 1 }),
    rotateMeter: async (...args) => {
      calls.push(args)
      const from = `0x${'11'.repeat(20)}`
      const to = `0x${'22'.repeat(20)}`
      return { from, to, meterEpoch: 2, activeFrom: 1_788_220_800, voided: ['4'] }
    },
    parked: async () => ({
      batches: [{ seq: '4', reason: 'Flow refused it', onlyHere: [entry] }],
      refused: [],
      stopped: [{ ...entry, cause: 'above_history', why: 'far above', stoppedAtMs: 1 }],
    }),
    retry: async (...args) => void calls.push(args),
    skip: () => Promise.reject(new TerminalError('would_change_money', 'correct it instead')),
    skipEntry: async (...args) => void calls.push(args),
    release: async (...args) => void calls.push(args),
  }
  const operations = async () => tools

  test('audit and log --verify end with 1 when they found something', async () => {
    const audited = await runProgram(['audit'], { operations })
    expect(audited.code).toBe(1)
    expect(audited.lines.join('\n')).toMatch(/3 {2}roots +0 .*\n5 {2}pool +5 .*\n.*not 0: pool/s)
    const { code, lines } = await runProgram(['audit', '--json'], { operations })
    expect([code, JSON.parse(lines[0] ?? '')]).toEqual([
      1,
      { ok: false, checks: { pool: '5', roots: '0' } },
    ])
    expect((await runProgram(['log', '--verify'], { operations })).code).toBe(1)
    expect((await runProgram(['log'], { operations })).code).toBe(0)
  })

  test('parked and held: what waits, and verbs that need a reason', async () => {
    const { lines } = await runProgram(['parked', 'list'], { operations })
    expect(lines.join('\n')).toContain('batch 4: Flow refused it; 1 entries are stated by no later')
    const at = ['7', '2026-09-01', '--by', 'ann']
    expect((await runProgram(['held', 'release', ...at], { operations })).code).toBe(2)
    expect(calls).toEqual([])
    const reason = ['--reason', 'looked at it']
    expect((await runProgram(['held', 'release', ...at, ...reason], { operations })).code).toBe(0)
    await runProgram(['parked', 'retry-entry', ...at, ...reason], { operations })
    await runProgram(['parked', 'retry', '4', '--by', 'ann', ...reason], { operations })
    const order = { reason: 'looked at it', by: 'ann' }
    expect(calls).toEqual([
      [entry, 'held release', order],
      [entry, 'parked retry-entry', order],
      [4n, order],
    ])
    const skipped = await runProgram(['parked', 'skip', '4', ...reason], { operations })
    expect([skipped.code, skipped.lines.join()]).toEqual([
      2,
      expect.stringContaining('correct it instead'),
    ])
  })

  test('rotate-meter wants a reason, and says which meter follows and from when on', async () => {
    expect((await runProgram(['rotate-meter'], { operations })).code).toBe(2)
    const ordered = ['rotate-meter', '--reason', 'leaked', '--by', 'ann']
    const { code, lines } = await runProgram(ordered, { operations })
    expect(code).toBe(0)
    expect(lines).toEqual([
      `Meter 0x${'22'.repeat(20)} follows 0x${'11'.repeat(20)}; on Flow it is number 2.`,
      'Batches that Flow had not settled are void: 4. The next ones state them again.',
      'Start the daemon. Flow takes its batches from 2026-09-01T00:00:00.000Z on.',
    ])
    expect(calls).toContainEqual([{ reason: 'leaked', by: 'ann' }])
  })

  test('backup and adopt say what they did', async () => {
    expect((await runProgram(['backup', 'x'], { operations })).lines).toEqual([
      'x: 4096 bytes, checked',
    ])
    expect((await runProgram(['adopt'], { operations })).code).toBe(2)
    const { code, lines } = await runProgram(['adopt', '--reason', 'lost'], { operations })
    expect([code, lines[0]]).toEqual([0, expect.stringContaining('2 batches were adopted')])
  })
})
