import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { mainFile, spawnNode, tempFolder } from './run-cli.js'
import { COMPLETE_ENV } from './settings.js'

// Goal: a stop is a stop: what is under way is finished or dropped, within the time that
// supervisors give; and who asks twice does not wait.
// Method: the built daemon as a process, with a LiteLLM that takes every question and answers none.

/** Takes every question and answers none. */
async function startQuiet() {
  const quiet = createServer()
  const asked = once(quiet, 'request')
  await once(quiet.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    quiet.closeAllConnections()
    quiet.close()
  })
  return { asked, url: `http://127.0.0.1:${(quiet.address() as AddressInfo).port}` }
}

async function startDaemon(more: Readonly<Record<string, string>> = {}) {
  const { asked, url } = await startQuiet()
  const cwd = tempFolder()
  const env = {
    ...COMPLETE_ENV,
    ...more,
    LITELLM_API_URL: url,
    DATABASE_URL: `sqlite:${join(cwd, 'store.sqlite')}`,
    PORT: '0',
  }
  const child = spawnNode([mainFile, 'start'], { cwd, env })
  onTestFinished(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  await asked // A question is under way.
  return { child, exited }
}

test('with questions under way it ends within its time, as told', async () => {
  const { child, exited } = await startDaemon()
  child.kill('SIGTERM')
  // After its 20 s it would end itself with 1.
  expect(await exited).toEqual([0, null])
})

test('a second signal ends it now', async () => {
  const { child, exited } = await startDaemon()
  child.kill('SIGTERM')
  child.kill('SIGINT') // Two alike might arrive as one.
  expect(await exited).toEqual([1, null])
})

test('traces that nobody answers for do not change how it ends', async () => {
  const traces = await startQuiet()
  const { child, exited } = await startDaemon({ OTEL_EXPORTER_OTLP_ENDPOINT: traces.url })
  await traces.asked // A chain that is not there leaves spans of failed steps.
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})
