import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '../../devnet/fault-proxy.js'
import { type Litellm, type LitellmOptions, startLitellm } from '../../devnet/litellm/index.js'
import { RetryableError } from '../../src/domain/errors.js'
import { microdollars } from '../../src/domain/key-limits.js'
import { type KeyId, keyIdOf } from '../../src/domain/virtual-key.js'
import { FAILURES_TOLERATED, LitellmGateway } from '../../src/gateways/litellm/gateway.js'
import type { KeyWish } from '../../src/ports/key-gateway.js'
import { Breaker } from '../../src/runtime/breaker.js'
import { DEFAULT_LIMITS, idOf } from '../support/keys.js'
import { TestReceiver } from '../support/test-receiver.js'

// Goal: what the port promises, of the adapter for LiteLLM.
// Method: the stand-in over HTTP, behind a proxy that loses requests and answers.

const { signal } = new AbortController()
const SECRET = `sk-${'a'.repeat(43)}`
const ID = keyIdOf(SECRET)
const WISH: KeyWish = {
  alias: 'fm-7-laptop',
  userId: 'vault_7',
  limits: DEFAULT_LIMITS,
  blockMark: undefined,
  spend: undefined,
}

let litellm: Litellm
let proxy: FaultProxy
let nowMs: number
let gateway: LitellmGateway
beforeEach(() => start())
afterEach(async () => {
  await proxy.stop()
  await litellm.stop()
})

async function start(options: LitellmOptions = {}): Promise<void> {
  nowMs = 0
  litellm = await startLitellm(options)
  proxy = await startFaultProxy(litellm.url)
  gateway = gatewayWith(litellm.masterKey)
}

function gatewayWith(adminKey: string, timeoutMs = 60_000): LitellmGateway {
  const breaker = new Breaker(() => nowMs, FAILURES_TOLERATED)
  return new LitellmGateway({ name: 'main', apiUrl: proxy.url, adminKey, timeoutMs, breaker })
}

/** As the operator does it by hand. */
async function byHand(path: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await fetch(new URL(path, litellm.url), {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${litellm.masterKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return (await answer.json()) as Record<string, unknown>
}

async function call(key = SECRET, url = litellm.url): Promise<number> {
  const answer = await fetch(new URL('/v1/chat/completions', url), {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', messages: [] }),
  })
  await answer.body?.cancel()
  return answer.status
}

const infoOf = async (id: KeyId) =>
  (await byHand(`/key/info?key=${id}`)).info as Record<string, unknown>

/** The next request to a path goes wrong, and then it is as before. */
function once(path: string, kind: 'lostRequest' | 'lostAnswer'): void {
  proxy.faultOf = (request) => {
    if (!request.path.startsWith(path)) return undefined
    proxy.faultOf = () => undefined
    return { kind }
  }
}

describe('a key', () => {
  test('is made with the secret that was chosen, and read back as it was wished', async () => {
    await gateway.create(SECRET, WISH, signal)
    expect(await call()).toBe(200)
    expect(await gateway.find(ID, signal)).toMatchObject({
      id: ID,
      alias: 'fm-7-laptop',
      userId: 'vault_7',
      limits: DEFAULT_LIMITS,
      isBlocked: false,
      blockMark: undefined,
    })
    expect(await infoOf(ID)).toMatchObject({ max_budget: 10, key_type: 'llm_api', rpm_limit: 100 })
    expect(await gateway.findByAlias('fm-7-laptop', signal)).toMatchObject({ id: ID })
    expect(await gateway.findByAlias('fm-7-lap', signal)).toBeUndefined()
  })

  test('is made once, also when the answer was lost', async () => {
    once('/key/generate', 'lostAnswer')
    const lost = expect(gateway.create(SECRET, WISH, signal)).rejects
    await lost.toMatchObject({ name: 'RetryableError', code: 'keys_unreachable' })
    await gateway.create(SECRET, WISH, signal)
    expect((await byHand('/key/list')).total_count).toBe(1)
  })

  test('of another secret does not get its alias', async () => {
    await gateway.create(SECRET, WISH, signal)
    const again = expect(gateway.create(`${SECRET}b`, WISH, signal)).rejects
    await again.toMatchObject({ name: 'TerminalError', code: 'key_alias_taken' })
  })

  test('can be made blocked, and with what was spent before', async () => {
    await gateway.create(SECRET, { ...WISH, blockMark: 'm', spend: '9.5' }, signal)
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: 'm' })
    expect(await call()).toBe(401)
    expect(await infoOf(ID)).toMatchObject({ spend: 9.5 })
  })

  test('takes a change of what differs, and leaves the rest', async () => {
    await gateway.create(SECRET, WISH, signal)
    await byHand('/key/update', { key: ID, metadata: { team: 'blue' } })
    await gateway.update(ID, { rpmLimit: 5, tpmLimit: null, models: ['a', 'b'] }, signal)
    const limits = { ...DEFAULT_LIMITS, rpmLimit: 5, tpmLimit: null, models: ['a', 'b'] }
    expect(await gateway.find(ID, signal)).toMatchObject({ limits })
    expect(await infoOf(ID)).toMatchObject({ metadata: { team: 'blue' } })
    await gateway.update(ID, { maxBudget: null, budgetDuration: null, userId: 'bob' }, signal)
    expect(await infoOf(ID)).toMatchObject({ max_budget: null, budget_duration: null })
    expect(await gateway.find(ID, signal)).toMatchObject({ userId: 'bob' })
  })

  test.each([0n, 1n, 10_000_001n, 123_456_789_012_345n, 10n ** 15n, 999_999_999_999_999n])(
    'keeps a budget of %s microdollars to the last one',
    async (value) => {
      const limits = { ...DEFAULT_LIMITS, maxBudget: microdollars(value) }
      await gateway.create(SECRET, { ...WISH, limits }, signal)
      expect((await gateway.find(ID, signal))?.limits).toEqual(limits)
    },
  )

  test('with numbers that are none of ours has no limits that could be compared', async () => {
    await gateway.create(SECRET, WISH, signal)
    for (const max_budget of [0.00000012, 1e21, 0.1 + 0.2, -1]) {
      await byHand('/key/update', { key: ID, max_budget })
      expect((await gateway.find(ID, signal))?.limits).toBeUndefined()
    }
  })

  test('is deleted, and one that is gone is a success', async () => {
    await gateway.create(SECRET, WISH, signal)
    once('/key/delete', 'lostAnswer')
    await expect(gateway.delete(ID, signal)).rejects.toMatchObject({ code: 'keys_unreachable' })
    await gateway.delete(ID, signal)
    expect(await gateway.find(ID, signal)).toBeUndefined()
    expect(await call()).toBe(401)
  })

  test('of a user is found among all of that user’s, page by page', async () => {
    for (let i = 0; i < 101; i += 1) {
      await byHand('/key/generate', { key_alias: `k${i}`, user_id: 'vault_7' })
    }
    await byHand('/key/generate', { key_alias: 'other', user_id: 'vault_8' })
    const first = await gateway.listOfUser('vault_7', 1, signal)
    expect([first.keys.length, first.isLast]).toEqual([100, false])
    const second = await gateway.listOfUser('vault_7', 2, signal)
    expect([second.keys.length, second.isLast]).toEqual([1, true])
    expect(await gateway.listOfUser('nobody', 1, signal)).toEqual({ keys: [], isLast: true })
  })
})

describe('a block', () => {
  beforeEach(() => gateway.create(SECRET, WISH, signal))

  test('is at once where it was asked for, leaves its mark, and is lifted with it', async () => {
    await byHand('/key/update', { key: ID, metadata: { team: 'blue' } })
    expect(await call()).toBe(200)
    await gateway.block(ID, 'm', signal)
    expect(await call()).toBe(401)
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: 'm' })
    await gateway.block(ID, 'm', signal)
    await gateway.unblock(ID, signal)
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: false, blockMark: undefined })
    expect(await infoOf(ID)).toMatchObject({ metadata: { team: 'blue' } })
    litellm.advance(60_000)
    expect(await call()).toBe(200)
  })

  test('of the operator has no mark, also after ours was begun and lost', async () => {
    once('/key/update', 'lostRequest')
    await expect(gateway.block(ID, 'm', signal)).rejects.toMatchObject({ code: 'keys_unreachable' })
    await byHand('/key/block', { key: ID })
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: undefined })
  })

  test('of the operator after ours was lifted has no mark, also when that answer was lost', async () => {
    await gateway.block(ID, 'm', signal)
    once('/key/update', 'lostAnswer')
    await expect(gateway.unblock(ID, signal)).rejects.toMatchObject({ code: 'keys_unreachable' })
    await byHand('/key/block', { key: ID })
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: undefined })
  })

  test('is not touched when the mark alone is taken away', async () => {
    await gateway.block(ID, 'm', signal)
    await gateway.unmark(ID, signal)
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: undefined })
  })

  test('of a key that is not there is told', async () => {
    const unknown = idOf('unknown')
    for (const change of [
      () => gateway.block(unknown, 'm', signal),
      () => gateway.unblock(unknown, signal),
      () => gateway.update(unknown, { rpmLimit: 1 }, signal),
    ]) {
      await expect(change()).rejects.toMatchObject({ name: 'TerminalError', code: 'key_unknown' })
    }
    await gateway.delete(unknown, signal)
  })
})

describe('what goes wrong is told apart', () => {
  test.each([
    ['viewerKey', 'keys_role'],
    ['internalUserKey', 'keys_role'],
    ['modelKey', 'keys_role'],
  ] as const)('%s may not manage keys', async (name, code) => {
    const other = gatewayWith(litellm[name])
    await expect(other.check(signal)).rejects.toMatchObject({ code })
    await expect(other.create(SECRET, WISH, signal)).rejects.toMatchObject({ code })
    expect((await byHand('/key/list')).total_count).toBe(0)
  })

  test('the admin key passes, an unknown one does not', async () => {
    await gateway.check(signal)
    const unknown = gatewayWith('sk-nobody')
    await expect(unknown.check(signal)).rejects.toMatchObject({ code: 'keys_refused' })
  })

  test.each([
    [{ kind: 'noDatabase' }, 'keys_no_database'],
    [{ kind: 'databaseLost' }, 'keys_failing'],
    [{ kind: 'answer', status: 200, body: { keys: 'none' } }, 'keys_nonsense'],
    [{ kind: 'answer', status: 200, body: '<html>' }, 'keys_nonsense'],
    [{ kind: 'answer', status: 302, body: {} }, 'keys_nonsense'],
    [{ kind: 'answer', status: 502, body: '<html>' }, 'keys_failing'],
    [{ kind: 'answer', status: 429, body: {} }, 'keys_unreachable'],
    [{ kind: 'oversized', bytes: 9 * 1024 * 1024 }, 'keys_nonsense'],
    [{ kind: 'broken' }, 'keys_unreachable'],
  ] as const)('%j is %s', async (fault, code) => {
    litellm.addFault(fault)
    const failed = expect(gateway.find(ID, signal)).rejects
    await failed.toMatchObject({ name: 'RetryableError', code })
  })

  test('a key that LiteLLM will never take is refused for good', async () => {
    const detail = [{ type: 'x', loc: ['body', 'budget_duration'], msg: 'SECRET', input: 'x' }]
    litellm.addFault({ kind: 'answer', status: 422, body: { detail } })
    const refused = gateway.create(SECRET, WISH, signal).catch((error: unknown) => error)
    expect(await refused).toMatchObject({
      name: 'TerminalError',
      code: 'key_refused',
      message: 'LiteLLM answered 422: it does not take such a key (budget_duration)',
    })
  })

  test('a question that is refused is asked again, whatever the refusal', async () => {
    const refuser = new TestReceiver()
    const apiUrl = await refuser.start()
    const asked = new LitellmGateway({ name: 'x', apiUrl, adminKey: SECRET, timeoutMs: 60_000 })
    for (const status of [400, 404, 409, 422, 500]) {
      for (const ask of [() => asked.check(signal), () => asked.listOfUser('vault_7', 1, signal)]) {
        refuser.answers.push({ status, body: '{"detail":"no"}' })
        await expect(ask()).rejects.toThrow(RetryableError)
      }
    }
    await refuser.stop()
  })

  test('an alias that several keys have names none of them', async () => {
    const keys = ['a', 'b'].map((name) => ({ token: idOf(name), key_alias: 'same', metadata: {} }))
    const body = { keys, current_page: 1, total_pages: 1 }
    litellm.addFault({ kind: 'answer', status: 200, body })
    const found = gateway.findByAlias('same', signal)
    await expect(found).rejects.toMatchObject({ code: 'key_alias_taken' })
  })

  // Goal: no customer keeps blocks of others from LiteLLM by wishes that it fails at.
  test('a LiteLLM that fails at orders is asked all the same, and not one that fails at questions', async () => {
    const failing = new TestReceiver()
    const apiUrl = await failing.start()
    const breaker = new Breaker(() => nowMs, FAILURES_TOLERATED)
    const parts = { name: 'x', apiUrl, adminKey: SECRET, timeoutMs: 5_000, breaker }
    const asked = new LitellmGateway(parts)
    failing.answers.push(...Array.from({ length: 20 }, () => ({ status: 500 })))
    for (let i = 0; i < 10; i += 1) {
      const making = asked.create(SECRET, WISH, signal)
      await expect(making).rejects.toMatchObject({ code: 'keys_failing' })
    }
    expect(breaker.isOpen).toBe(false)
    for (let i = 0; i < 5; i += 1) await expect(asked.find(ID, signal)).rejects.toThrow()
    expect(breaker.isOpen).toBe(true)
    await failing.stop()
  })

  test('a LiteLLM that does not answer is left alone for a while', async () => {
    proxy.faultOf = () => ({ kind: 'lostRequest' })
    for (let i = 0; i < 5; i += 1) {
      await expect(gateway.find(ID, signal)).rejects.toMatchObject({ code: 'keys_unreachable' })
    }
    expect(proxy.struck.get('lostRequest')).toBe(FAILURES_TOLERATED + 1)
    nowMs += 1_000
    proxy.faultOf = () => undefined
    expect(await gateway.find(ID, signal)).toBeUndefined()
  })

  test('a key is found out on 1.81, too', async () => {
    await proxy.stop()
    await litellm.stop()
    await start({ version: '1.81.16' })
    await gateway.check(signal)
    await gateway.create(SECRET, WISH, signal)
    await gateway.block(ID, 'm', signal)
    expect(await gateway.find(ID, signal)).toMatchObject({ isBlocked: true, blockMark: 'm' })
    const gone = gateway.block(idOf('unknown'), 'm', signal)
    await expect(gone).rejects.toMatchObject({ code: 'key_unknown' })
  })
})
