import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Status } from '../../src/pipeline/status.js'
import { PATIENTLY } from '../support/patience.js'
import { mainFile, root, runCli, runNode, spawnNode, tempFolder } from './run-cli.js'
import { COMPLETE_ENV } from './settings.js'

const built = (path: string): string => pathToFileURL(join(root, 'dist/src', path)).href
const settings = (cwd: string): Record<string, string> => ({
  ...COMPLETE_ENV,
  DATABASE_URL: `sqlite:${join(cwd, 'store.sqlite')}`,
  PORT: '0',
})

describe('settings that are only read on the way', () => {
  test.each([['POLL_CRON', 'soon']])('%s: exit code 78', async (name, value) => {
    const cwd = tempFolder()
    const { code, stderr } = await runCli(['start'], {
      cwd,
      env: { ...settings(cwd), [name]: value },
    })
    expect([code, stderr.slice(0, 30)]).toEqual([78, expect.stringContaining(name)])
  })
})

describe('one daemon a store', () => {
  // Goal: two daemons never share a store, and the second one's operator learns where the first is.
  // Method: a process that takes the lock as the daemon does and then waits; later it is killed, so
  // that nothing of it has the time to tidy up.
  test('a second one is refused and told who holds it; a killed holder holds nothing', async () => {
    const cwd = tempFolder()
    const file = join(cwd, 'store.sqlite')
    const holder = await holdStore(cwd, file)

    const refused = await runCli(['start'], { cwd, env: settings(cwd) })
    expect(refused.code).toBe(78)
    expect(refused.stderr).toContain(`${file} is in use by process ${holder.pid} on `)
    expect(refused.stderr).toContain('DATABASE_URL')
    const status = await runCli(['directory', 'set', 'alice', '1'], { cwd, env: settings(cwd) })
    expect(status.code).toBe(0) // Commands go on working beside the daemon.

    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const next = await runCli(['start'], { cwd, env: { ...settings(cwd), ALLOWED_IPS: 'nowhere' } })
    expect(next.stderr).not.toContain('is in use')
  })
})

async function holdStore(cwd: string, file: string) {
  const script = `
    import { lockStore } from ${JSON.stringify(built('store/index.js'))}
    const release = lockStore(${JSON.stringify(file)}, Date.now())
    console.log('held')
    process.stdin.once('end', release).resume()`
  const holder = spawnNode(['--input-type=module', '-e', script], { cwd })
  onTestFinished(() => void holder.kill('SIGKILL'))
  const said: unknown[] = holder.stdout === null ? [] : await once(holder.stdout, 'data')
  expect(String(said[0])).toBe('held\n')
  return holder
}

describe('when nothing answers', () => {
  // Goal: an operator sees what is silent, instead of a process that dies again and again.
  // Method: start with addresses at which nobody listens, ask the daemon, then stop it.
  test('the daemon runs, says what it cannot reach, and stops when it is told to', async () => {
    const cwd = tempFolder()
    const daemon = await startDaemon(cwd)
    expect((await fetch(`${daemon.url}/health`)).status).toBe(200)
    const problem = await vi.waitUntil(async () => {
      const status = (await (await fetch(`${daemon.url}/status`)).json()) as Status
      return status.sources[0]?.problem
    }, PATIENTLY)
    expect(problem).toMatchObject({ code: 'source_unreachable' })
    expect((await fetch(`${daemon.url}/ready`)).status).toBe(503)
    // Flare is asked by the worker that compares anchors: what it cannot know, no figure says.
    const audited = await vi.waitUntil(async () => {
      const { workers = [], conservation } = (await (
        await fetch(`${daemon.url}/status`)
      ).json()) as Status
      const states = workers.filter(({ name }) => name.startsWith('audit/'))
      const isAsked = states.some(({ state }) => state === 'failing')
      return isAsked ? { states, conservation } : undefined
    }, PATIENTLY)
    expect(audited).toMatchObject({
      states: [
        { name: 'audit/batches' },
        { name: 'audit/anchors', why: expect.stringContaining('attestor_unreachable') },
        { name: 'audit/accepted_roots' },
      ],
    })
    expect(audited.conservation).toBeUndefined()
    const status = await runCli(['status'], { cwd, env: settings(cwd) })
    expect(status.stdout).toContain('source_unreachable')
    daemon.child.kill('SIGTERM')
    expect(await daemon.exited).toEqual([0, null])
  })
})

interface Daemon {
  readonly child: ChildProcess
  readonly url: string
  /** Exit code and signal. */
  readonly exited: Promise<unknown[]>
}

/** Waits for the line of its log that says where it listens. */
async function startDaemon(cwd: string): Promise<Daemon> {
  const child = spawnNode([mainFile, 'start'], { cwd, env: settings(cwd) })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const url = new Promise<string>((found) => {
    let said = ''
    // It goes on reading, or a full pipe would hold the daemon up.
    child.stdout?.on('data', (chunk) => {
      said += String(chunk)
      const [, address] = /"url":"([^"]+)"/.exec(said) ?? []
      if (address !== undefined) found(address)
    })
  })
  const ended = exited.then(([code]) => Promise.reject(new Error(`it ended with ${code}`)))
  return { child, url: await Promise.race([url, ended]), exited }
}

describe('no secret in what the daemon writes', () => {
  const secrets = {
    LITELLM_API_KEY: 'sk-canary-litellm',
    METER_KEY: `0x${'CaFe'.repeat(16)}`,
    RECEIPT_SECRET: 'canary "quoted"\nand of two lines, long enough',
  }
  const meterKey = secrets.METER_KEY.toLowerCase()

  // Goal: a secret that gets into a message, a field, an error, its cause or its stack is cut out.
  // Method: log each secret in all these ways, in the spellings that the program and its libraries
  // use, through the daemon's own logger in a process of its own; then search stdout and the file.
  test('whatever is logged, stdout and the file show none of them', async () => {
    const cwd = tempFolder()
    const script = `
      import { createLogger } from ${JSON.stringify(built('runtime/log.js'))}
      import { learnSecret } from ${JSON.stringify(built('runtime/redaction.js'))}
      import { RetryableError } from ${JSON.stringify(built('domain/errors.js'))}
      const secrets = ${JSON.stringify(Object.values(secrets))}
      secrets.forEach(learnSecret)
      const log = createLogger({ level: 'trace', file: 'logs/connector.log' })
      const bare = (text) => text.replace(/^0x/, '')
      for (const one of secrets.flatMap((s) => [s, s.toLowerCase(), bare(s), bare(s).toUpperCase()])) {
        log.info('message ' + one)
        log.warn({ field: one, deep: { list: [one, { [one]: 1 }] } }, 'object')
        log.error({ err: new Error('error ' + one, { cause: new Error('cause ' + one) }) })
        log.fatal({ err: Object.assign(new RetryableError('code', one), { request: one }) }, 'mine')
        log.child({ child: one }).debug('%s', one)
      }
      log.info('the end')`
    const { code, stdout, stderr } = await runNode(['--input-type=module', '-e', script], { cwd })
    expect([code, stderr]).toEqual([0, ''])
    const file = readFileSync(join(cwd, 'logs/connector.log'), 'utf8')
    for (const text of [stdout, file]) {
      expect(text).toContain('"msg":"the end"')
      expect(text.trim().split('\n')).toHaveLength(12 * 5 + 1)
      for (const line of text.trim().split('\n')) expect(() => JSON.parse(line)).not.toThrow()
      const shown = ['sk-canary', 'cafecafe', 'two lines'].filter((part) =>
        text.toLowerCase().includes(part),
      )
      expect(shown).toEqual([])
      expect(text).toContain('[redacted]')
    }
  })

  // Goal: the same for a daemon that is told wrong things and dies of it.
  // Method: a start that fails at once, since nobody listens where the chains should be.
  test('a failing start shows none of them on stdout, stderr, or in any file', async () => {
    const cwd = tempFolder()
    const env = { ...settings(cwd), ...secrets, ALLOWED_IPS: 'nowhere' }
    const { code, stdout, stderr } = await runCli(['start'], { cwd, env })
    expect(code).not.toBe(0)
    const log = join(cwd, 'logs/connector.log')
    const text = [stdout, stderr, existsSync(log) ? readFileSync(log, 'utf8') : ''].join('\n')
    for (const secret of [...Object.values(secrets), meterKey, COMPLETE_ENV.FLARE_GAS_KEY ?? '']) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(secret.replace(/^0x/, ''))
    }
  })

  test('the log says what stopped it, once, as fatal', async () => {
    const cwd = tempFolder()
    const { stdout } = await runCli(['start'], {
      cwd,
      env: { ...settings(cwd), DATABASE_URL: 'sqlite:/dev/null/store.sqlite' },
    })
    const fatal = stdout
      .trim()
      .split('\n')
      .filter((line) => JSON.parse(line).level === 'fatal')
    expect(fatal).toHaveLength(1)
    expect(JSON.parse(fatal[0] ?? '{}')).toMatchObject({ msg: 'stopped by an error' })
  })
})
