import { createServer, type Server } from 'node:net'

/** Below the range that Linux gives to outgoing connections (32768 and up), so none of them can
 * take a port between our look and its use. */
const PORT_MIN = 12_000
const PORT_END = 32_000
const TRIES_MAX = 200

/**
 * Finds ports of 127.0.0.1 that nobody listens on at this moment. They are all different. Somebody
 * may still take one before it is used: whoever starts a server must be ready to try others.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held: { port: number; server: Server }[] = []
  try {
    for (let tries = 0; held.length < count; tries += 1) {
      if (tries === TRIES_MAX) throw new Error(`no ${count} free ports on 127.0.0.1`)
      const port = PORT_MIN + Math.floor(Math.random() * (PORT_END - PORT_MIN))
      const server = await tryListen(port)
      if (server !== undefined) held.push({ port, server })
    }
    return held.map(({ port }) => port)
  } finally {
    await Promise.all(held.map(({ server }) => new Promise((closed) => server.close(closed))))
  }
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}
