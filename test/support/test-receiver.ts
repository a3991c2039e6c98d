import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { listen, stopListening } from './loopback.js'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** How the next request is answered; once each, then 200. */
export type Answer =
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }
  /** Takes the whole request, and ends the connection. */
  | 'drop'
  /** Takes the whole request, and never answers. */
  | 'hang'

/** Somebody who is told, and may misbehave. A real server on a port of its own. */
export class TestReceiver {
  readonly received: Received[] = []
  readonly answers: Answer[] = []
  readonly #server: Server
  #waiting: (() => void)[] = []

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { url: path = '', headers } = request
        this.received.push({ path, headers, body: Buffer.concat(chunks).toString() })
        for (const wake of this.#waiting.splice(0)) wake()
        const answer = this.answers.shift() ?? { status: 200 }
        if (answer === 'drop') request.socket.destroy()
        else if (answer !== 'hang') {
          response.writeHead(answer.status, answer.headers).end(answer.body ?? 'ok')
        }
      })
    })
  }

  async start(): Promise<string> {
    return `http://${await listen(this.#server)}`
  }

  /** The next request has come in whole. */
  arrival(): Promise<void> {
    return new Promise((done) => this.#waiting.push(done))
  }

  async stop(): Promise<void> {
    await stopListening(this.#server)
  }
}
