import type { z } from 'zod'
import { RetryableError, TerminalError } from '../../domain/errors.js'
import { type KeyId, keyIdOf } from '../../domain/virtual-key.js'
import type { GatewayKey, KeyChange, KeyGateway, KeyWish } from '../../ports/key-gateway.js'
import { Breaker } from '../../runtime/breaker.js'
import { type HttpAnswer, HttpClient, type HttpRequest } from '../../runtime/http-client.js'
import { bodyOf, type FoundKey, foundKey, keyInfo, keyList, MARK, ownUser } from './parse.js'
import { refusalOf } from './refusal.js'

export interface LitellmGatewayParts {
  /** The source whose usage its keys make. */
  readonly name: string
  readonly apiUrl: string
  readonly adminKey: string
  readonly timeoutMs: number
  /** The way to the proxy where that is not HTTP: for simulations. */
  readonly transport?: Pick<HttpClient, 'request'>
  readonly breaker?: Breaker
}

/** 100 keys of 2 KB each, with what operators keep in their metadata. */
const RESPONSE_BYTES_MAX = 8 * 1024 * 1024
const LIST_SIZE = 100
/** There is no other LiteLLM to ask: one lost answer is asked for again at once. */
export const FAILURES_TOLERATED = 2
const ADMIN_ROLE = 'proxy_admin'

/**
 * LiteLLM's routes of keys, with a key of the role proxy_admin.
 *
 * A block is written by /key/update, which sets it and our mark in one step, and then by /key/block,
 * which makes the proxy that is asked forget the key it has in memory. Lifting one is /key/update
 * alone: /key/unblock would leave the mark. See docs/adr/0014-secrets-made-here.md.
 */
export class LitellmGateway implements KeyGateway {
  readonly name: string
  readonly #http: Pick<HttpClient, 'request'>
  readonly #breaker: Breaker

  constructor({ name, apiUrl, adminKey, timeoutMs, transport, breaker }: LitellmGatewayParts) {
    this.name = name
    this.#breaker = breaker ?? new Breaker(undefined, FAILURES_TOLERATED)
    this.#http =
      transport ??
      new HttpClient({
        baseUrl: apiUrl,
        codePrefix: 'keys',
        timeoutMs,
        responseBytesMax: RESPONSE_BYTES_MAX,
        headers: { authorization: `Bearer ${adminKey}` },
      })
  }

  async check(signal: AbortSignal): Promise<void> {
    const own = read(await this.#ask({ path: '/user/info' }, signal), ownUser)
    const role = own.user_info?.user_role ?? ADMIN_ROLE
    if (role !== ADMIN_ROLE) {
      throw new RetryableError('keys_role', `the admin key has the role ${nameOf(role)}`)
    }
    // Where it does not say who asks, it says at least who is an admin or a viewer.
    read(await this.#ask(listRequest({ size: '1' }), signal), keyList)
  }

  async create(secret: string, wish: KeyWish, signal: AbortSignal): Promise<void> {
    const { alias, userId, limits, blockMark, spend } = wish
    const body = {
      ...bodyOf({ ...limits, userId }),
      key: secret,
      key_alias: alias,
      // For models alone: whoever has it can change nothing of itself.
      key_type: 'llm_api',
      ...(blockMark === undefined ? {} : { blocked: true, metadata: { [MARK]: blockMark } }),
      ...(spend === undefined ? {} : { spend: Number(spend) }),
    }
    try {
      await this.#change('/key/generate', body, signal)
    } catch (error) {
      // The one that has the alias may be this one, made by a request whose answer was lost.
      const isTaken = error instanceof TerminalError && error.code === 'key_alias_taken'
      if (!isTaken || (await this.#find(keyIdOf(secret), signal)) === undefined) throw error
    }
  }

  async find(id: KeyId, signal: AbortSignal): Promise<GatewayKey | undefined> {
    return (await this.#find(id, signal))?.key
  }

  async findByAlias(alias: string, signal: AbortSignal): Promise<GatewayKey | undefined> {
    const answer = await this.#ask(listRequest({ key_alias: alias }), signal)
    // Newer releases may match a part of it.
    const [key, other] = keysOf(read(answer, keyList)).filter((one) => one.alias === alias)
    if (other === undefined) return key
    throw new TerminalError('key_alias_taken', 'LiteLLM has several keys of this alias: say an id')
  }

  async listOfUser(userId: string, page: number, signal: AbortSignal) {
    const asked = listRequest({ user_id: userId, page: String(page) })
    const list = read(await this.#ask(asked, signal), keyList)
    const keys = keysOf(list).filter((key) => key.userId === userId)
    return { keys, isLast: list.current_page >= list.total_pages }
  }

  async update(id: KeyId, change: KeyChange, signal: AbortSignal): Promise<void> {
    await this.#change('/key/update', { key: id, ...bodyOf(change) }, signal)
  }

  async block(id: KeyId, mark: string, signal: AbortSignal): Promise<void> {
    const { metadata } = await this.#known(id, signal)
    const marked = { ...metadata, [MARK]: mark }
    await this.#change('/key/update', { key: id, blocked: true, metadata: marked }, signal)
    await this.#change('/key/block', { key: id }, signal)
  }

  async unblock(id: KeyId, signal: AbortSignal): Promise<void> {
    const metadata = unmarked((await this.#known(id, signal)).metadata)
    await this.#change('/key/update', { key: id, blocked: false, metadata }, signal)
  }

  async unmark(id: KeyId, signal: AbortSignal): Promise<void> {
    const metadata = unmarked((await this.#known(id, signal)).metadata)
    await this.#change('/key/update', { key: id, metadata }, signal)
  }

  async delete(id: KeyId, signal: AbortSignal): Promise<void> {
    if ((await this.#find(id, signal)) === undefined) return
    await this.#change('/key/delete', { keys: [id] }, signal)
  }

  async #find(id: KeyId, signal: AbortSignal): Promise<FoundKey | undefined> {
    const answer = await this.#ask({ path: '/key/info', query: { key: id } }, signal)
    if (answer.status === 404) return undefined
    const { info } = read(answer, keyInfo)
    return foundKey(id, info)
  }

  async #known(id: KeyId, signal: AbortSignal): Promise<FoundKey> {
    const found = await this.#find(id, signal)
    if (found !== undefined) return found
    throw new TerminalError('key_unknown', 'LiteLLM has no such key')
  }

  async #change(path: string, body: unknown, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask({ method: 'POST', path, body }, signal)
    if (answer.status !== 200) throw refusalOf(answer.status, answer.text)
  }

  /** Asked in vain a few times it is left alone for a while, so that an outage costs no time-outs. */
  async #ask(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    if (this.#breaker.isOpen) {
      throw new RetryableError('keys_unreachable', 'LiteLLM did not answer and is asked again soon')
    }
    try {
      const answer = await this.#http.request(request, signal)
      // LiteLLM may fail at what was ordered: a customer's wish, again and again, must not keep blocks
      // of others from it.
      const isOrder = request.method === 'POST'
      if (answer.status < 500) this.#breaker.noteSuccess()
      else if (!isOrder) this.#breaker.noteFailure()
      return answer
    } catch (error) {
      if (error instanceof RetryableError) this.#breaker.noteFailure()
      throw error
    }
  }
}

function listRequest(query: Readonly<Record<string, string>>): HttpRequest {
  const asked = { size: String(LIST_SIZE), return_full_object: 'true', ...query }
  return { path: '/key/list', query: asked }
}

function keysOf({ keys }: z.output<typeof keyList>): GatewayKey[] {
  return keys.flatMap(({ token, ...fields }) => {
    const found = foundKey(token, fields)
    return found === undefined ? [] : [found.key]
  })
}

function unmarked(metadata: FoundKey['metadata']): Record<string, unknown> {
  const { [MARK]: _mark, ...rest } = metadata
  return rest
}

function read<Schema extends z.ZodType>(answer: HttpAnswer, schema: Schema): z.output<Schema> {
  if (answer.status !== 200) throw ofReading(refusalOf(answer.status, answer.text))
  const parsed = schema.safeParse(answer.json())
  if (parsed.success) return parsed.data
  // The paths say where it went wrong; the values could be anything.
  const places = parsed.error.issues.map(({ path }) => path.join('.') || 'the whole')
  const what = `LiteLLM's answer does not have the known shape: ${places.slice(0, 5).join(', ')}`
  throw new RetryableError('keys_nonsense', what)
}

/** No to a question is never final: nothing was ordered that could be given up. */
function ofReading(refusal: RetryableError | TerminalError): RetryableError {
  if (refusal instanceof RetryableError) return refusal
  return new RetryableError('keys_nonsense', refusal.message)
}

/** Of an answer, for a message: only what can be the name of a role. */
function nameOf(role: string): string {
  return /^\w{1,40}$/.test(role) ? role : 'unknown'
}
