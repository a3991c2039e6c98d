import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const BODY_BYTES_MAX = 1_000_000

export interface Request {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Undefined when there is none or it is not JSON. */
  readonly body: unknown
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface JsonServer {
  readonly url: string
  stop(): Promise<void>
}

/** Answers with JSON on a free port of the loopback interface. A throw becomes a 500. */
export async function serveJson(
  answer: (request: Request) => Promise<Answer>,
): Promise<JsonServer> {
  const server = createServer((incoming, outgoing) => {
    void handle(incoming, answer)
      .catch((error: unknown) => ({ status: 500, body: { error: String(error) } }))
      .then((result) => write(outgoing, result))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function handle(
  incoming: IncomingMessage,
  answer: (request: Request) => Promise<Answer>,
): Promise<Answer> {
  const url = new URL(incoming.url ?? '/', 'http://127.0.0.1')
  const body = await readBody(incoming)
  if (body === undefined) return { status: 413, body: { error: 'too large' } }
  return answer({
    method: incoming.method ?? 'GET',
    path: url.pathname.replace(/\/$/, ''),
    query: url.searchParams,
    headers: incoming.headers,
    body: parseJson(body),
  })
}

async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function write(outgoing: ServerResponse, { status, body }: Answer): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? 'text/html' : 'application/json'
  outgoing.writeHead(status, { 'content-type': type }).end(text)
}
