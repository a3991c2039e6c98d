import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  isElliptic,
  type KeySpec,
  type KeyState,
  type KmsKey,
  newKey,
  publicKeyOf,
  signDigest,
} from './keys.js'
import { type Credentials, refusalOf } from './signature-v4.js'

/** What the next request meets, once: an error of AWS by its code, silence, or a wrong answer. */
export type KmsFault = { readonly code: string; readonly says?: string } | 'silence' | 'other-key'

export interface KmsCall {
  readonly action: string
  readonly keyId: string
  readonly region: string
}

/**
 * AWS KMS for tests, as far as signing goes: GetPublicKey and Sign with digests, over the JSON
 * protocol 1.1, with signatures of requests checked, policies of keys, states and dry runs.
 */
export interface LocalKms {
  readonly url: string
  readonly region: string
  readonly credentials: Credentials
  /** What was asked, oldest first; refused ones too. */
  readonly calls: readonly KmsCall[]
  makeKey(spec: KeySpec, alias?: string, secret?: Uint8Array): KmsKey
  /** Lets an alias mean another key. */
  moveAlias(alias: string, key: KmsKey): void
  setState(key: KmsKey, state: KeyState): void
  /** Takes the right to an action on a key from whoever asks. */
  deny(key: KmsKey, action: string): void
  failNext(...faults: readonly KmsFault[]): void
  stop(): Promise<void>
}

const BODY_BYTES_MAX = 100_000
const DIGEST_BYTES = 32
const BAD_REQUEST = 400

class KmsError extends Error {
  readonly code: string

  constructor(code: string, says = '') {
    super(says)
    this.code = code
  }
}

export async function startLocalKms(
  credentials: Credentials = {
    accessKeyId: 'AKIALOCALKMS00000001',
    secretAccessKey: 'local-kms-secret',
  },
  nowMs: () => number = Date.now,
): Promise<LocalKms> {
  const kms = new Kms(credentials, nowMs)
  await kms.listen()
  return kms
}

class Kms implements LocalKms {
  readonly region = 'eu-central-1'
  readonly credentials: Credentials
  readonly calls: KmsCall[] = []
  readonly #nowMs: () => number
  readonly #keys = new Map<string, KmsKey>()
  readonly #denied = new Set<string>()
  readonly #faults: KmsFault[] = []
  readonly #server = createServer((incoming, outgoing) => void this.#handle(incoming, outgoing))
  #signatures = 0

  constructor(credentials: Credentials, nowMs: () => number) {
    this.credentials = credentials
    this.#nowMs = nowMs
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  makeKey(spec: KeySpec, alias?: string, secret?: Uint8Array): KmsKey {
    const key = newKey(spec, this.region, secret)
    this.#keys.set(key.arn, key).set(key.keyId, key)
    if (alias !== undefined) this.moveAlias(alias, key)
    return key
  }

  moveAlias(alias: string, key: KmsKey): void {
    this.#keys.set(alias, key).set(`arn:aws:kms:${this.region}:111122223333:${alias}`, key)
  }

  setState(key: KmsKey, state: KeyState): void {
    key.state = state
  }

  deny({ arn }: KmsKey, action: string): void {
    this.#denied.add(`${arn} ${action}`)
  }

  failNext(...faults: readonly KmsFault[]): void {
    this.#faults.push(...faults)
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve)
      this.#server.closeAllConnections()
    })
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) return void incoming.destroy()
      chunks.push(chunk)
    }
    try {
      const answer = this.#answer(incoming, Buffer.concat(chunks))
      if (answer !== undefined) write(outgoing, 200, answer)
    } catch (error) {
      if (!(error instanceof KmsError)) throw error
      const status = error.code === 'KMSInternalException' ? 500 : BAD_REQUEST
      write(outgoing, status, { __type: error.code, message: error.message })
    }
  }

  /** Undefined: none, ever. */
  #answer(incoming: IncomingMessage, body: Buffer): object | undefined {
    const { method = '', url: target = '/' } = incoming
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    )
    const [, action = ''] = /^TrentService\.(\w+)$/.exec(headers['x-amz-target'] ?? '') ?? []
    const order = parse(body)
    const [, region = ''] =
      /Credential=[^/]+\/\d+\/([\w-]+)/.exec(headers.authorization ?? '') ?? []
    this.calls.push({ action, keyId: String(order.KeyId), region })
    const request = { method, target, headers, body }
    const refusal = refusalOf(request, this.credentials, this.#nowMs())
    if (refusal !== undefined) throw new KmsError(refusal.code, refusal.says)
    const fault = this.#faults.shift()
    if (fault === 'silence') return undefined
    if (typeof fault === 'object') throw new KmsError(fault.code, fault.says)
    const key = this.#find(order, action, region)
    if (action === 'GetPublicKey') return describe(key)
    if (action === 'Sign') return this.#sign(fault === 'other-key' ? other(key) : key, order)
    throw new KmsError('UnknownOperationException', action)
  }

  #find({ KeyId }: Order, action: string, region: string): KmsKey {
    const key = this.#keys.get(String(KeyId))
    if (key === undefined || region !== this.region) {
      throw new KmsError('NotFoundException', `Key '${KeyId}' does not exist`)
    }
    const { arn, state } = key
    if (this.#denied.has(`${arn} ${action}`)) {
      const who = 'arn:aws:iam::111122223333:user/flowmeter'
      const says = `User: ${who} is not authorized to perform: kms:${action} on resource: ${arn}`
      throw new KmsError('AccessDeniedException', says)
    }
    if (state === 'Disabled') throw new KmsError('DisabledException', `${arn} is disabled.`)
    if (state !== 'Enabled') {
      const word = state === 'Creating' ? 'creating' : 'pending deletion'
      throw new KmsError('KMSInvalidStateException', `${arn} is ${word}.`)
    }
    if (!isElliptic(key.spec)) {
      throw new KmsError('UnsupportedOperationException', `${arn} key usage is ENCRYPT_DECRYPT`)
    }
    return key
  }

  #sign(key: KmsKey, { Message, MessageType, SigningAlgorithm, DryRun }: Order): object {
    const digest = Buffer.from(String(Message), 'base64')
    if (MessageType !== 'DIGEST' || digest.length !== DIGEST_BYTES) {
      throw new KmsError('ValidationException', 'Digest is invalid length for algorithm')
    }
    if (SigningAlgorithm !== 'ECDSA_SHA_256') {
      throw new KmsError('InvalidKeyUsageException', `${SigningAlgorithm} is not of this key`)
    }
    if (DryRun === true) {
      const says = 'The request would have succeeded, but the DryRun option is set.'
      throw new KmsError('DryRunOperationException', says)
    }
    this.#signatures += 1
    const signature = signDigest(key, digest, this.#signatures % 2 === 0)
    return { KeyId: key.arn, Signature: signature.toString('base64'), SigningAlgorithm }
  }
}

type Order = Readonly<Record<string, unknown>>

function describe(key: KmsKey): object {
  return {
    KeyId: key.arn,
    KeySpec: key.spec,
    KeyUsage: 'SIGN_VERIFY',
    PublicKey: publicKeyOf(key).toString('base64'),
    SigningAlgorithms: ['ECDSA_SHA_256'],
  }
}

function other({ spec, arn }: KmsKey): KmsKey {
  return { ...newKey(spec, ''), arn }
}

function parse(body: Buffer): Order {
  try {
    return JSON.parse(body.toString('utf8')) as Order
  } catch {
    throw new KmsError('SerializationException')
  }
}

function write(outgoing: ServerResponse, status: number, body: object): void {
  outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' })
  outgoing.end(JSON.stringify(body))
}
