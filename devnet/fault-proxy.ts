import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What becomes of one request on its way to a server and back. */
export type ProxyFault =
  /** The server never sees it, and nobody answers. */
  | { readonly kind: 'lostRequest' }
  /** The server does its work; the answer is lost. */
  | { readonly kind: 'lostAnswer' }
  /** The server sees it so much later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Another answer, and the server never sees it. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** Half of the answer, as if it were all. */
  | { readonly kind: 'truncated' }
  /** The answer a byte at a time, with so much time between them. */
  | { readonly kind: 'slow'; readonly byteMs: number }
  /** Flow: nobody has heard of the transaction that is asked for. */
  | { readonly kind: 'emptyStatus' }
  /** Flow: a node that stopped so many blocks ago. */
  | { readonly kind: 'stale'; readonly blocks: number }
  /** Nothing happens until this comes true; then it is lost. */
  | { readonly kind: 'held'; readonly until: Promise<void> }

export interface Proxied {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly body: string
}

/** Stands between a client and a server, and behaves as networks do on a bad day. */
export interface FaultProxy {
  readonly url: string
  /** Asked for every request. Undefined: it goes through. */
  faultOf: (request: Proxied) => ProxyFault | undefined
  /** Where requests go on to from now on. */
  aim(targetUrl: string): void
  /** How often each kind of fault struck. */
  readonly struck: ReadonlyMap<string, number>
  stop(): Promise<void>
}

const FORWARD_MS_MAX = 30_000
const OF_THE_CONNECTION = new Set([
  ...['host', 'connection', 'content-length'],
  ...['accept-encoding', 'transfer-encoding'],
])
const UNKNOWN = { block_id: '', status: '', status_code: 0, error_message: '', events: null }

export async function startFaultProxy(firstTargetUrl: string): Promise<FaultProxy> {
  let targetUrl = firstTargetUrl
  const struck = new Map<string, number>()
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })
  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url: path = '/' } = incoming
    const request = { method, path, body: await bodyOf(incoming) }
    const fault = proxy.faultOf(request)
    if (fault !== undefined) struck.set(fault.kind, (struck.get(fault.kind) ?? 0) + 1)
    const send = (other: Partial<Proxied> = {}) =>
      forward(targetUrl, { ...request, ...other }, incoming.headers)
    await strike(fault, { request, response, send })
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${port}`,
    faultOf: () => undefined,
    aim: (url) => {
      targetUrl = url
    },
    struck,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return proxy
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly text: string
}

interface Exchange {
  readonly request: Proxied
  readonly response: ServerResponse
  /** The request, or one that differs from it, on its way to the server. */
  readonly send: (other?: Partial<Proxied>) => Promise<Reply>
}

async function strike(
  fault: ProxyFault | undefined,
  { request, response, send }: Exchange,
): Promise<void> {
  switch (fault?.kind) {
    case undefined:
      return answer(response, await send())
    case 'lostRequest':
      return void response.destroy()
    case 'lostAnswer':
      await send()
      return void response.destroy()
    case 'delay':
      await sleep(fault.ms)
      return answer(response, await send())
    case 'answer':
      return answer(response, json(fault.status, fault.body))
    case 'truncated': {
      const reply = await send()
      return answer(response, { ...reply, text: reply.text.slice(0, reply.text.length / 2) })
    }
    case 'slow':
      return drip(response, await send(), fault.byteMs)
    case 'emptyStatus':
      return answer(response, json(200, JSON.stringify(UNKNOWN)))
    case 'stale':
      return answer(response, await stale(fault.blocks, request, send))
    case 'held':
      await fault.until
      return void response.destroy()
  }
}

/** As of an old block. What names a later one is not found, as on a node that lacks it. */
async function stale(blocks: number, { path }: Proxied, send: Exchange['send']): Promise<Reply> {
  const block = (height: string) => send({ method: 'GET', path: `/v1/blocks?height=${height}` })
  const newest = JSON.parse((await block('sealed')).text) as { header: { height: string } }[]
  const height = Math.max(0, Number(newest[0]?.header.height) - blocks)
  const { pathname, searchParams } = new URL(path, 'http://node')
  if (pathname === '/v1/blocks') return block(String(height))
  const named = searchParams.get('block_height')
  if (named !== null && named !== 'sealed' && Number(named) > height) {
    return json(404, '{"code":404,"message":"block not found"}')
  }
  if (named === 'sealed') searchParams.set('block_height', String(height))
  const query = searchParams.size > 0 ? `?${searchParams}` : ''
  return send({ path: `${pathname}${query}` })
}

async function forward(
  targetUrl: string,
  { method, path, body }: Proxied,
  headers: IncomingMessage['headers'],
): Promise<Reply> {
  const passed = Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.has(name))
  const reply = await fetch(`${targetUrl}${path}`, {
    method,
    headers: passed.map(([name, value]): [string, string] => [name, String(value)]),
    ...(method === 'POST' ? { body } : {}),
    signal: AbortSignal.timeout(FORWARD_MS_MAX),
  })
  const type = reply.headers.get('content-type') ?? 'application/json'
  return { status: reply.status, type, text: await reply.text() }
}

function answer(response: ServerResponse, { status, type, text }: Reply): void {
  response.writeHead(status, { 'content-type': type }).end(text)
}

async function drip(response: ServerResponse, reply: Reply, byteMs: number): Promise<void> {
  response.writeHead(reply.status, { 'content-type': reply.type })
  for (const byte of Buffer.from(reply.text)) {
    if (response.destroyed) return
    response.write(Buffer.of(byte))
    await sleep(byteMs)
  }
  response.end()
}

function json(status: number, text: string): Reply {
  return { status, type: 'application/json', text }
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
