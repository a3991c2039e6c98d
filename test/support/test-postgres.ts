import { execFile } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePorts } from '../../devnet/ports.js'

const run = promisify(execFile)

/** A real PostgreSQL of its own, in a temporary folder, on a free port of the loopback interface. */
export interface TestPostgres {
  readonly port: number
  /** As the superuser, or as a role with the password `reader`. */
  url(database: string, role?: string): string
  /** As the superuser. */
  query(database: string, sql: string, values?: readonly unknown[]): Promise<pg.QueryResult>
  /** A standby of it, streaming from it. */
  startStandby(): Promise<TestPostgres>
  stop(): Promise<void>
}

/** Throws, with what to install, where there is no PostgreSQL. */
export async function startPostgres(): Promise<TestPostgres> {
  return start('initdb', (data) => [
    ...['-D', data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'],
  ])
}

/** Fills a folder with a tool of PostgreSQL's, and starts a server on it. */
async function start(tool: string, fill: (data: string) => string[]): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-postgres-'))
  const data = join(folder, 'data')
  const user = await unprivileged()
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const options = { ...user, cwd: folder }
  const bin = binaries()
  await run(join(bin, tool), fill(data), options)
  const [port = 0] = await freePorts(1)
  const settings =
    `-c listen_addresses=127.0.0.1 -p ${port} -k ${folder} -c fsync=off ` +
    '-c timezone=Europe/Berlin'
  const log = join(folder, 'log')
  const starting = ['-D', data, '-w', '-t', '600', '-l', log, '-o', settings, 'start']
  await run(join(bin, 'pg_ctl'), starting, options)

  const url = (database: string, role = 'postgres') =>
    `postgresql://${role}:reader@127.0.0.1:${port}/${database}`
  const primary = `host=127.0.0.1 port=${port} user=postgres`
  return {
    port,
    url,
    async query(database, sql, values = []) {
      const client = new pg.Client({ connectionString: url(database) })
      await client.connect()
      try {
        return await client.query(sql, [...values])
      } finally {
        await client.end()
      }
    },
    startStandby: () =>
      start('pg_basebackup', (copy) => ['-D', copy, '-R', '-c', 'fast', '-d', primary]),
    async stop() {
      await run(join(bin, 'pg_ctl'), ['-D', data, '-w', '-m', 'immediate', 'stop'], options)
      rmSync(folder, { recursive: true })
    },
  }
}

/** The folder of initdb and pg_ctl: on the path, or where Debian puts them. */
function binaries(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian)
    ? readdirSync(debian).sort((a, b) => Number(b) - Number(a))
    : []
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ]
  const folder = folders.find((path) => existsSync(join(path, 'initdb')))
  if (folder === undefined) throw new Error('no PostgreSQL here: apt-get install postgresql')
  return folder
}

/** PostgreSQL refuses to run as root: then as its own user, or as nobody. */
async function unprivileged(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const id = async (option: string, name: string) =>
    Number((await run('id', [option, name])).stdout.trim())
  const name = await run('id', ['postgres']).then(
    () => 'postgres',
    () => 'nobody',
  )
  return { uid: await id('-u', name), gid: await id('-g', name) }
}
