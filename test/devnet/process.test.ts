import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { freePorts } from '../../devnet/ports.js'
import { type ServiceParts, startService } from '../../devnet/process.js'

const dir = mkdtempSync(join(tmpdir(), 'flowmeter-process-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** A service of a few lines of JavaScript, ready when it has made the file `ready`. */
function parts(name: string, code: string, more: Partial<ServiceParts> = {}): ServiceParts {
  const ready = join(dir, `${name}.ready`)
  const makeReady = `require('node:fs').writeFileSync(${JSON.stringify(ready)}, '')`
  return {
    name,
    command: process.execPath,
    args: ['-e', code.replace('READY', makeReady)],
    logFile: join(dir, 'logs', `${name}.log`),
    isReady: async () => existsSync(ready),
    readyMsMax: 30_000,
    ...more,
  }
}

test('a service is ready, runs, and ends when asked to', async () => {
  const service = await startService(parts('good', 'setInterval(() => {}, 1e6); READY'))
  expect(service.isRunning()).toBe(true)
  await service.stop()
  expect(service.isRunning()).toBe(false)
  expect(await service.exited).toBe('SIGTERM')
  await service.stop() // Nothing is left to stop.
})

test('one that does not listen is killed', async () => {
  const code = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6); READY"
  const service = await startService(parts('stubborn', code, { stopMsMax: 50 }))
  await service.stop()
  expect(await service.exited).toBe('SIGKILL')
})

test('one that ends too early, or never gets ready, says what it logged', async () => {
  const early = startService(parts('early', "console.error('port is taken'); process.exit(3)"))
  await expect(early).rejects.toThrow(/early ended before it was ready: exit code 3\n.*port is/)
  let pid = 0
  const onSpawn = (spawned: number): void => {
    pid = spawned
  }
  const late = parts('late', 'setInterval(() => {}, 1e6)', { readyMsMax: 1, onSpawn })
  await expect(startService(late)).rejects.toThrow('late was not ready after 1 ms')
  expect(() => process.kill(pid, 0)).toThrow()
  const none = startService(parts('none', '', { command: join(dir, 'nothing') }))
  await expect(none).rejects.toThrow('none did not start')
})

test('free ports are distinct, and can be listened on', async () => {
  const ports = await freePorts(8)
  expect(new Set(ports).size).toBe(8)
  for (const port of ports) {
    const server = createServer()
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
    await new Promise((done) => server.close(done))
  }
})
