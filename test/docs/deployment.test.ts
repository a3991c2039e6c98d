import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { validate } from 'dockerfile-utils'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runNode } from '../cli/run-cli.js'

// Goal: a deployment that was never built here does not fail for what can be read.
// Method: parse the files for Docker and PM2 and hold them against the checkout and the program.

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
/** Of src/main.ts, where the daemon ends itself. */
const GRACE_MS = Number(/GRACE_MS = ([\d_]+)/.exec(read('src/main.ts'))?.[1]?.replaceAll('_', ''))

interface Instruction {
  readonly name: string
  readonly text: string
}

/** Without comments; a line that ends with `\` goes on. */
const instructions: readonly Instruction[] = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [name = '', ...rest] = line.split(' ')
    return { name, text: rest.join(' ') }
  })
const textsOf = (name: string): string[] =>
  instructions.filter((one) => one.name === name).map(({ text }) => text)

describe('Dockerfile', () => {
  test('has nothing that a checker of Dockerfiles finds wrong', () => {
    const problems = (text: string) => validate(text).map(({ message }) => message)
    expect(problems(read('Dockerfile'))).toEqual([])
    expect(problems('FORM node\nRUN')).not.toEqual([])
  })

  test('has known instructions alone, and begins with FROM', () => {
    const known = 'FROM ARG ENV WORKDIR COPY RUN USER VOLUME EXPOSE HEALTHCHECK CMD'.split(' ')
    expect(instructions.filter(({ name }) => !known.includes(name))).toEqual([])
    expect(instructions[0]?.name).toBe('FROM')
  })

  test('stages build on images of the Node that package.json asks for', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } }
    const major = /(\d+)/.exec(engines.node)?.[1]
    expect(textsOf('FROM').length).toBeGreaterThan(1)
    for (const from of textsOf('FROM')) expect(from).toMatch(new RegExp(`^node:${major}-bookworm`))
  })

  test('copies what is there, past .dockerignore, or from a stage that is there', () => {
    const stages = textsOf('FROM').flatMap((from) => / AS (\w+)$/.exec(from)?.[1] ?? [])
    for (const copy of textsOf('COPY')) {
      const [, stage] = /^--from=(\w+) /.exec(copy) ?? []
      if (stage !== undefined) {
        expect(stages).toContain(stage)
        continue
      }
      const sources = copy.split(' ').slice(0, -1)
      expect(sources.length).toBeGreaterThan(0)
      for (const source of sources) {
        expect(existsSync(join(root, source)), source).toBe(true)
        expect(isSentToDocker(source), source).toBe(true)
      }
    }
  })

  test('the last stage runs the daemon, not as root, with what it writes in volumes', () => {
    const last = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'))
    const of = (name: string) => last.filter((one) => one.name === name).map(({ text }) => text)
    expect(of('USER')).toEqual(['node'])
    expect(JSON.parse(of('CMD')[0] ?? '')).toEqual(['node', 'dist/src/main.js', 'start'])
    expect(JSON.parse(of('VOLUME')[0] ?? '')).toEqual(['/app/data', '/app/logs'])
    expect(of('RUN').join()).not.toMatch(/npm/)
    expect(of('COPY').join()).toContain('cadence ./cadence')
  })

  test('the health check says 0 for a daemon that answers and 1 for one that does not', async () => {
    const [check = ''] = textsOf('HEALTHCHECK')
    const [command, ...args] = JSON.parse(check.slice(check.indexOf('CMD ') + 4)) as string[]
    expect(command).toBe('node')
    const asked: unknown[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      response.end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const parts = { cwd: root, env: { PORT: String(port) } }
    expect((await runNode(args, parts)).code).toBe(0)
    expect(asked).toEqual(['/health'])
    server.close()
    await once(server, 'close')
    expect((await runNode(args, parts)).code).toBe(1)
  })

  test('no secret and no store gets into the image', () => {
    for (const path of [
      '.env',
      'src/.env.local',
      'data',
      'logs',
      '.git',
      'a.sqlite',
      'src/b.sqlite',
    ]) {
      expect(isSentToDocker(path), path).toBe(false)
    }
  })
})

describe('docker-compose.yml', () => {
  const compose = parse(read('docker-compose.yml'))
  const service = compose.services['flare-connector']

  test('keeps store and logs, and names volumes and networks that are there', () => {
    expect(service.volumes).toEqual(['data:/app/data', './logs:/app/logs'])
    expect(Object.keys(compose.volumes)).toEqual(['data'])
    expect(Object.keys(compose.networks)).toEqual(service.networks)
  })

  test('waits longer than the daemon gives itself', () => {
    expect(Number.parseInt(service.stop_grace_period, 10) * 1000).toBeGreaterThan(GRACE_MS)
  })

  test('is reached from this machine alone, and lets its gateway ask', () => {
    expect(service.ports).toEqual(['127.0.0.1:3000:3000'])
    const [{ gateway }] = compose.networks.flowmeter.ipam.config
    expect(service.environment.ALLOWED_IPS).toBe(`\${ALLOWED_IPS:-${gateway}}`)
  })

  test('is the version of package.json', () => {
    expect(service.image).toBe(`flowmeter:${JSON.parse(read('package.json')).version}`)
  })
})

describe('ecosystem.config.cjs', () => {
  const { apps } = createRequire(import.meta.url)(join(root, 'ecosystem.config.cjs'))
  const [app] = apps

  test('is one daemon under its name', () => {
    expect(apps).toHaveLength(1)
    expect(app).toMatchObject({
      name: 'flare-connector',
      script: 'dist/src/main.js',
      args: 'start',
      instances: 1,
      exec_mode: 'fork',
    })
  })

  test('waits longer than the daemon gives itself, and leaves wrong settings stopped', () => {
    expect(GRACE_MS).toBeGreaterThan(0)
    expect(app.kill_timeout).toBeGreaterThan(GRACE_MS)
    expect(app.stop_exit_codes).toEqual([78])
    expect(app.exp_backoff_restart_delay).toBeGreaterThan(0)
  })
})

test('what is run by its name may be run', () => {
  for (const path of ['scripts/flowmeter.mjs', '.ci/run', '.ci/walk']) {
    expect(statSync(join(root, path)).mode & 0o111, path).toBe(0o111)
  }
})

test('the shell scripts of CI parse', () => {
  for (const path of ['.ci/run', '.ci/walk']) {
    const run = spawnSync('bash', ['-n', join(root, path)], { encoding: 'utf8' })
    expect([path, run.status, run.stderr]).toEqual([path, 0, ''])
  }
})

/** .dockerignore: the last pattern that fits decides. Ours are `*`, plain paths and `**` and names. */
function isSentToDocker(path: string): boolean {
  let isSent = true
  for (const line of read('.dockerignore').split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const isException = line.startsWith('!')
    const pattern = isException ? line.slice(1) : line
    const body = pattern
      .replace(/[.+]/g, '\\$&')
      .replaceAll('**/', '(?:.+/)?')
      .replaceAll('*', '[^/]*')
    if (new RegExp(`^${body}(?:/|$)`).test(path)) isSent = isException
  }
  return isSent
}

// Goal: nobody can change what runs in CI by moving a tag. Method: read every workflow.
test('actions of workflows are pinned to a commit, and may read alone', () => {
  const folder = '.github/workflows'
  const workflows = readdirSync(join(root, folder)).map((name) => read(`${folder}/${name}`))
  const used = workflows.flatMap((text) => text.match(/uses:.*/g) ?? [])
  expect(used.length).toBeGreaterThan(1)
  for (const one of used)
    expect(one).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  for (const text of workflows)
    expect(parse(text)).toMatchObject({ permissions: { contents: 'read' } })
})
