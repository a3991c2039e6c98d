import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

// Goal: what the documents tell a reader to type works, because CI types it too.
// Method: take every command out of their `sh` blocks and look for it behind a `doc` in .ci/, which
// runs its argument literally. Docker's blocks are marked, since CI has no Docker engine.

const root = resolve(import.meta.dirname, '../..')
const DOCUMENTS = [
  ...['README.md', 'AGENTS.md', 'CHANGELOG.md'],
  ...markdownIn('docs'),
  ...markdownIn('docs/adr'),
]
/** What a newcomer and an operator type. Other pages show calls that need a setting of their own. */
const TYPED = [
  ...['README.md', 'AGENTS.md', 'docs/operating.md', 'docs/receipts.md'],
  ...['docs/reports.md', 'docs/notifications.md'],
  ...['docs/troubleshooting.md', 'docs/upgrading.md'],
]
const CI_SCRIPTS = ['.ci/run', '.ci/walk']
/** Run by CI as steps of their own, under the same name. */
const STEPS = [
  ...['npm run check', 'npm run lint', 'npm run test:contracts'],
  ...['node scripts/generate-abi.mjs --check', 'node scripts/generate-env-example.mjs --check'],
]

interface Block {
  readonly document: string
  /** Behind the three backticks: a language and marks. */
  readonly info: string
  readonly lines: readonly string[]
}

const blocks = DOCUMENTS.flatMap(blocksOf)
const ci = CI_SCRIPTS.map(read).join('\n')
const executed = new Set([...ci.matchAll(/\bdoc '([^']+)'/g)].map(([, command]) => command))

describe('commands', () => {
  const told = blocks
    .filter(({ document, info }) => TYPED.includes(document) && info === 'sh')
    .flatMap(({ document, lines }) =>
      lines.flatMap(commandsOf).map((command) => ({ document, command })),
    )

  test('there are some, in README and in the operator’s pages', () => {
    const documents = new Set(told.map(({ document }) => document))
    expect([...documents]).toEqual(expect.arrayContaining(['README.md', 'docs/operating.md']))
    expect(told.length).toBeGreaterThan(15)
  })

  test.each(told)('$document: $command', ({ command }) => {
    expect([...executed, ...STEPS]).toContain(command)
  })

  test('CI runs no command as documented that is documented nowhere', () => {
    const all = new Set(told.map(({ command }) => command))
    expect([...executed].filter((command) => !all.has(command ?? ''))).toEqual([])
  })

  test('what CI cannot run is marked, and is Docker’s alone', () => {
    const unmarked = blocks.filter(({ info }) => /^(bash|shell|console)\b/.test(info))
    expect(unmarked).toEqual([])
    const docker = blocks.filter(({ info }) => info === 'sh docker').flatMap(({ lines }) => lines)
    expect(docker.length).toBeGreaterThan(0)
    for (const command of docker.flatMap(commandsOf)) expect(command).toMatch(/^docker /)
  })

  test('the scripts of package.json that documents name are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const names = DOCUMENTS.flatMap((document) =>
      [...read(document).matchAll(/\bnpm run (?:--silent )?([a-z:-]+)/g)].map(([, name]) => name),
    )
    expect(names.filter((name) => scripts[name ?? ''] === undefined)).toEqual([])
  })
})

describe('links', () => {
  const links = DOCUMENTS.flatMap((document) =>
    [...withoutBlocks(read(document)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({
      document,
      target,
    })),
  ).filter(({ target }) => !/^https?:/.test(target))

  test.each(links)('$document: $target', ({ document, target }) => {
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? document : join(dirname(document), path)
    expect(existsSync(join(root, file)), `${file} is not there`).toBe(true)
    if (anchor !== undefined) expect(anchorsOf(file)).toContain(anchor)
  })

  test('every page of docs/ can be reached from README', () => {
    const seen = new Set<string>(['README.md'])
    for (const document of seen) {
      for (const { document: from, target } of links) {
        const [path = ''] = target.split('#')
        if (from === document && path !== '') addPages(join(dirname(document), path), seen)
      }
    }
    expect(
      [...markdownIn('docs'), ...markdownIn('docs/adr')].filter((one) => !seen.has(one)),
    ).toEqual([])
  })
})

test('README has its parts: the promise, the picture, the table of what to read', () => {
  const readme = read('README.md')
  expect(readme).toContain('charged exactly once, at the published price')
  expect(blocks.some(({ document, info }) => document === 'README.md' && info === 'mermaid')).toBe(
    true,
  )
  expect(readme).toMatch(/^\| if you want to … \| read \|$/m)
})

test('AGENTS.md has at most 100 lines', () => {
  expect(read('AGENTS.md').trimEnd().split('\n').length).toBeLessThanOrEqual(100)
})

/** A link to a folder is a link to its pages. */
function addPages(path: string, seen: Set<string>): void {
  if (!existsSync(join(root, path))) return
  if (!statSync(join(root, path)).isDirectory()) seen.add(path.replace(/\/$/, ''))
  else for (const page of markdownIn(path.replace(/\/$/, ''))) seen.add(page)
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

function blocksOf(document: string): Block[] {
  return [...read(document).matchAll(/^ *```([^\n]*)\n(.*?)^ *```$/gms)].map(
    ([, info = '', body = '']) => ({
      document,
      info: info.trim(),
      lines: body.trimEnd().split('\n'),
    }),
  )
}

function withoutBlocks(text: string): string {
  return text.replace(/^ *```.*?^ *```$/gms, '').replace(/`[^`\n]*`/g, '')
}

/** `a && b  # why` are the commands a and b. */
function commandsOf(line: string): string[] {
  const [command = ''] = line.trim().split(/\s+#\s/)
  return command.startsWith('#') ? [] : command.split(' && ').flatMap((one) => one.trim() || [])
}

/** As GitHub makes them of headings. */
function anchorsOf(file: string): string[] {
  return [...withoutBlocks(read(file)).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
