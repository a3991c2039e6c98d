import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What happens to a request: nothing unusual, another answer, or none after it did its work. */
export type Fault = 'none' | 'lost answer' | { readonly status: number; readonly body: string }

/** Stands between a client and a node, and behaves as access nodes do on a bad day. */
export interface FaultProxy {
  readonly url: string
  /** Asked for every request. */
  faultOf: (method: string, path: string) => Fault
  stop(): Promise<void>
}

export async function startFaultProxy(nodeUrl: string): Promise<FaultProxy> {
  const server = createServer(async (request, response) => {
    const { method = 'GET', url = '/' } = request
    const fault = proxy.faultOf(method, url)
    if (typeof fault === 'object') {
      response.writeHead(fault.status, { 'content-type': 'application/json' }).end(fault.body)
      return
    }
    const body = await bodyOf(request)
    const answer = await fetch(`${nodeUrl}${url}`, {
      method,
      ...(method === 'POST' ? { body, headers: { 'content-type': 'application/json' } } : {}),
    })
    const text = await answer.text()
    if (fault === 'lost answer') response.destroy()
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${port}`,
    faultOf: () => 'none',
    async stop() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  return proxy
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}
