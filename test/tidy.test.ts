import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

// Goal: the house stays as AGENTS.md describes it, without anybody having to remember.
// Method: read every source file as text, and compare its imports and habits with these tables.

/** What each room may import besides its own folder; main, app, config, settings and start may import all. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  pricing: ['domain/'],
  mapping: ['domain/'],
  ports: ['domain/', 'pricing/plan.js', 'pricing/budget.js', 'pricing/runway.js'],
  runtime: ['domain/errors.js'],
  pipeline: ['domain/', 'pricing/', 'mapping/', 'ports/', 'runtime/'],
  // What is asked of the store for people: pure arithmetic on what it adds up.
  reports: ['domain/', 'pricing/', 'ports/', 'pipeline/plan-of.js'],
  notifiers: ['domain/', 'ports/', 'runtime/', 'notifiers/post.js'],
  // Who is told what was measured, after the fact.
  traces: ['domain/', 'runtime/'],
  sources: ['domain/', 'ports/', 'runtime/'],
  // Where private keys are. Both chains' adapters sign.
  signers: ['domain/', 'ports/', 'runtime/', 'signers/curves.js'],
  attestors: ['domain/', 'ports/', 'runtime/', 'signers/index.js'],
  settlers: ['domain/', 'ports/', 'runtime/', 'signers/index.js', 'pricing/plan.js'],
  // Where customers' keys are made, limited and blocked.
  gateways: ['domain/', 'ports/', 'runtime/'],
  // Who takes a customer's money, and tells by webhook.
  payments: ['domain/', 'ports/'],
  // What operators bring: modules, queries.
  operator: ['domain/', 'ports/', 'runtime/', 'mapping/config.js'],
  store: ['domain/', 'ports/', 'runtime/'],
  http: [
    ...['domain/', 'pricing/', 'mapping/', 'ports/', 'pipeline/', 'runtime/', 'reports/'],
    'config.js',
  ],
  // A command wires what it needs by itself, through the registries: `map` must load no chain.
  cli: [
    ...['domain/', 'pricing/', 'mapping/', 'ports/', 'pipeline/', 'runtime/', 'reports/'],
    ...['config.js', 'settings.js', 'version.js', 'store/index.js'],
    ...['sources/index.js', 'attestors/index.js', 'settlers/index.js', 'operator/index.js'],
    'notifiers/index.js',
    'payments/index.js',
    'gateways/index.js',
  ],
}

/** True without clock, network and disk. */
const PURE_ROOMS = ['domain', 'pricing', 'mapping']

/** The rooms in which a package may be imported. What is not listed may be imported nowhere. */
const PACKAGE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  '@aws-sdk/client-kms': ['signers/aws-kms/'],
  '@opentelemetry/api': ['traces/'],
  '@opentelemetry/exporter-trace-otlp-http': ['traces/'],
  '@opentelemetry/exporter-trace-otlp-proto': ['traces/'],
  '@opentelemetry/resources': ['traces/'],
  '@opentelemetry/sdk-trace': ['traces/'],
  '@noble/curves': ['attestors/flare/', 'settlers/flow/', 'signers/'],
  '@noble/hashes': ['domain/', 'attestors/flare/', 'settlers/flow/', 'signers/'],
  '@onflow/fcl': ['settlers/flow/'],
  axios: ['runtime/'],
  'better-sqlite3': ['store/'],
  commander: ['cli/'],
  dotenv: ['settings.ts'],
  ethers: ['attestors/flare/'],
  fastify: ['http/'],
  kysely: ['store/'],
  'node-cron': ['runtime/'],
  pg: ['sources/litellm/', 'operator/'],
  pino: ['runtime/'],
  'prom-client': ['http/'],
  'rotating-file-stream': ['runtime/'],
  // `config.ts` files, parsers, and the settings that pure rooms own.
  zod: [
    ...['config.ts', 'settings.ts', 'http/config.ts', 'mapping/', 'pricing/model-aliases.ts'],
    ...['operator/', 'cli/directory-file.ts', 'cli/receipts-file.ts'],
    ...['sources/', 'attestors/', 'settlers/', 'payments/', 'notifiers/', 'gateways/', 'traces/'],
  ],
}

const FOLDERS_BANNED = ['utils', 'util', 'helpers', 'helper', 'common', 'shared', 'lib']
const LINES_MAX = 400
const PRINTING = /^(src\/cli|scripts|bench)\//
const DEVNET_DOOR = 'src/cli/demo.ts'
const ROOMLESS = /^(main|app|config|settings|start|version)\.ts$/

interface SourceFile {
  /** From the repository's root, with `/`. */
  readonly path: string
  readonly text: string
  readonly lines: number
  readonly imports: readonly string[]
}

const source = filesOf('src')
const everything = ['src', 'devnet', 'test', 'scripts', 'bench'].flatMap(filesOf)

describe('what may know what', () => {
  test('rooms follow the arrows', () => {
    expect(source.length).toBeGreaterThan(80)
    const strangers = source.flatMap(({ path, imports }) =>
      imports
        .filter(isRelative)
        .map((to) => join(dirname(path), to))
        .filter((to) => !mayImport(path, to))
        .map((to) => `${path} imports ${to}`),
    )
    expect(strangers).toEqual([])
  })

  test('every room has its arrows, and only few files have no room', () => {
    const inside = source.map(({ path }) => path.slice('src/'.length))
    const rooms = inside.filter((path) => path.includes('/')).map((path) => path.split('/')[0])
    expect([...new Set(rooms)].sort()).toEqual(Object.keys(ARROWS).sort())
    const roomless = inside.filter((path) => !path.includes('/'))
    expect(roomless.filter((file) => !ROOMLESS.test(file))).toEqual([])
  })

  test('packages stay in their rooms', () => {
    const misplaced = source.flatMap(({ path, imports }) =>
      imports
        .filter((name) => !isRelative(name) && !name.startsWith('node:'))
        .filter((name) => !roomsOf(name).some((room) => path.startsWith(`src/${room}`)))
        .map((name) => `${path} imports ${name}`),
    )
    expect(misplaced).toEqual([])
  })

  test('the product and its local network are strangers, but for the demo', () => {
    const doors = (folder: string, other: string) =>
      everything
        .filter(({ path }) => path.startsWith(folder))
        .filter(({ path, imports }) =>
          imports.filter(isRelative).some((to) => join(dirname(path), to).startsWith(other)),
        )
        .map(({ path }) => path)
    expect(doors('src/', 'devnet/').filter((path) => path !== DEVNET_DOOR)).toEqual([])
    expect(doors('devnet/', 'src/')).toEqual([])
  })

  test('pure rooms have no clock, no network, no disk, no chance', () => {
    const pure = source.filter(({ path }) => PURE_ROOMS.includes(path.split('/')[1] ?? ''))
    expect(pure.length).toBeGreaterThan(15)
    expect(
      namesWith(
        pure,
        /'node:|\bprocess\.|Math\.random|\bfetch\(|new Date\(\)|setTimeout|performance\./,
      ),
    ).toEqual([])
  })

  test('the clock is read in one place', () => {
    // A stopwatch that knows no date, as performance.now is, may be anywhere but in pure rooms.
    const clock = /Date\.now|new Date\(\)/
    expect(namesWith(source, clock)).toEqual(['src/runtime/clock.ts'])
  })

  test('settings are read in one place, which main hands the environment', () => {
    const outsiders = namesWith(source, /process\.env\b/).filter(
      (path) => path !== 'src/main.ts' && path !== DEVNET_DOOR,
    )
    expect(outsiders).toEqual([])
  })

  test('commands and scripts alone print', () => {
    const product = everything.filter(({ path }) => !path.startsWith('test/'))
    const printing = namesWith(product, /\bconsole\.\w+\(/)
    expect(printing.filter((path) => !PRINTING.test(path))).toEqual([])
  })
})

describe('how files look', () => {
  test('names are kebab-case, migrations numbered', () => {
    const name = /^([a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.(ts|mjs)|\d{4}_[a-z_]+\.ts)$/
    expect(paths(everything.filter(({ path }) => !name.test(basename(path))))).toEqual([])
  })

  test('no folder is a heap, and none is deep', () => {
    const isHeap = (path: string) => path.split('/').some((part) => FOLDERS_BANNED.includes(part))
    expect(paths(everything.filter(({ path }) => isHeap(path)))).toEqual([])
    expect(paths(source.filter(({ path }) => path.split('/').length > 4))).toEqual([])
  })

  test(`no file of the product is longer than ${LINES_MAX} lines`, () => {
    const product = everything.filter(({ path }) => !path.startsWith('test/'))
    expect(paths(product.filter(({ lines }) => lines > LINES_MAX))).toEqual([])
  })

  test('nothing is exported as default, and there are no enums', () => {
    expect(namesWith(everything, /^export default/m)).toEqual([])
    expect(namesWith(everything, /^\s*(export )?(const )?enum [A-Z]/m)).toEqual([])
  })

  test('imports name files with their .js', () => {
    const bare = everything
      .filter(({ path }) => path.endsWith('.ts'))
      .filter(({ imports }) =>
        imports.filter(isRelative).some((name) => !/\.(js|json|mjs)$/.test(name)),
      )
    expect(paths(bare)).toEqual([])
  })
})

/** Its own folder, not its room: two adapters are strangers. A registry sees its own adapters. */
function mayImport(path: string, target: string): boolean {
  if (path === DEVNET_DOOR && target.startsWith('devnet/')) return true
  if (!target.startsWith('src/')) return false
  const inside = path.slice('src/'.length)
  if (!inside.includes('/')) return true
  const allowed = [`${dirname(inside)}/`, ...(ARROWS[inside.split('/')[0] ?? ''] ?? [])]
  return allowed.some((start) => target.startsWith(`src/${start}`))
}

function roomsOf(name: string): readonly string[] {
  return PACKAGE_ROOMS[packageOf(name)] ?? []
}

function namesWith(files: readonly SourceFile[], pattern: RegExp): string[] {
  return paths(files.filter(({ text }) => pattern.test(text)))
}

function paths(files: readonly SourceFile[]): string[] {
  return files.map(({ path }) => path)
}

function filesOf(folder: string): SourceFile[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => join(folder, path))
    .filter((path) => /\.(ts|mjs)$/.test(path) && !path.includes('node_modules'))
    .filter((path) => !path.split('/').includes('generated'))
    .sort()
    .map((path) => {
      const text = readFileSync(path, 'utf8')
      return { path, text, lines: text.trimEnd().split('\n').length, imports: importsOf(text) }
    })
}

/** Static, side-effect, dynamic and type imports. Two of them never stand on one line. */
function importsOf(text: string): string[] {
  const found = text.matchAll(/^.*?(?:\bfrom|\bimport) ?\(?'([^'\n]+)'/gm)
  return [...found].map(([, name = '']) => name)
}

function isRelative(name: string): boolean {
  return name.startsWith('.')
}

/** `@noble/hashes/utils.js` is a file of `@noble/hashes`. */
function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
}
