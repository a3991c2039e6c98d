import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { notFound } from './answers.js'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const RUNBOOK_TYPE = 'text/plain; charset=utf-8'

/**
 * GET /                 the page, web/index.html
 * GET /web/<file>       what it is made of
 * GET /runbooks/<alarm> docs/runbooks/<alarm>.md, as text
 *
 * Read once, when the server starts: a request names one of these files and never a path.
 */
export function addPage(server: FastifyInstance): void {
  const access = { config: { access: 'address' } } as const
  const root = packageFolder()
  const files = filesOf(join(root, 'web'), Object.keys(TYPES))
  const runbooks = filesOf(join(root, 'docs/runbooks'), ['.md'])
  const send = (path: string, name: string) =>
    server.get(path, access, async (_request, reply) =>
      reply.type(TYPES[extname(name)] ?? RUNBOOK_TYPE).send(files.get(name)),
    )
  send('/', 'index.html')
  for (const name of files.keys()) send(`/web/${name}`, name)
  server.get('/runbooks/:alarm', access, async (request, reply) => {
    const { alarm } = request.params as { readonly alarm: string }
    const text = runbooks.get(`${alarm}.md`)
    return text === undefined ? notFound(reply) : reply.type(RUNBOOK_TYPE).send(text)
  })
}

/** Where `web/` is, seen from `src/` and from `dist/src/`. */
function packageFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'web', 'index.html'))) return folder
  }
  throw new Error('the folder web/ is not beside the program: install it whole')
}

function filesOf(folder: string, kinds: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    readdirSync(folder)
      .filter((name) => kinds.includes(extname(name)))
      .map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  )
}
