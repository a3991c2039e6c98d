import { createServer, type IncomingMessage, type Server } from 'node:http'
import { listen, stopListening } from './loopback.js'

/**
 * Somebody who refuses whatever is asked and repeats all that came with it: path, headers, body, and
 * what Basic authentication hides. Each request meets the next of the ways in which servers refuse.
 */
export class EchoServer {
  /** All that came, as text: to see that a secret did arrive. */
  readonly heard: string[] = []
  /** Bodies alone, by path. */
  readonly bodies: { readonly path: string; readonly body: string }[] = []
  readonly #server: Server
  #count = 0

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        const said = repeat(request, body)
        this.heard.push(said)
        this.bodies.push({ path: request.url ?? '', body })
        this.#count += 1
        const [status, text] = refusal(this.#count, said)
        response.writeHead(status, { 'content-type': 'application/json' }).end(text)
      })
    })
  }

  /** Returns host and port. */
  async start(): Promise<string> {
    return listen(this.#server)
  }

  async stop(): Promise<void> {
    await stopListening(this.#server)
  }
}

function refusal(count: number, said: string): [status: number, text: string] {
  const error = { message: `refused: ${said}`, type: 'auth_error', param: said, code: said }
  switch (count % 6) {
    case 0:
      return [401, JSON.stringify({ error })]
    case 1:
      return [
        200,
        JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32_000, message: said } }),
      ]
    case 2:
      return [403, `<html>${said}</html>`]
    case 3:
      return [500, JSON.stringify({ detail: said, message: said })]
    case 4:
      return [200, said]
    default:
      return [400, JSON.stringify({ message: said, error: said })]
  }
}

function repeat({ method, url = '', headers }: IncomingMessage, body: string): string {
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
  const decoded = Buffer.from(basic, 'base64').toString()
  return `${method} ${url} ${decodeURIComponent(url)} ${JSON.stringify(headers)} ${decoded} ${body}`
}
