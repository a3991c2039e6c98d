import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Litellm, startLitellm } from '../../devnet/litellm/index.js'

// Goal: the stand-in treats keys as the genuine proxy was recorded to.
// Method: the first block asks over HTTP and holds for any LiteLLM: with LITELLM_API_URL and
// LITELLM_MASTER_KEY set it asks that one (and leaves it as it was); the second block needs a clock
// that can be moved and a second proxy, so it asks the stand-in alone.

const realUrl = process.env.LITELLM_API_URL
const realKey = process.env.LITELLM_MASTER_KEY

interface Body {
  readonly key: string
  readonly token: string
  readonly token_id: string
  readonly keys: readonly string[]
  readonly total_count: number
  readonly blocked: boolean | null
  readonly max_budget: number | null
  readonly rpm_limit: number | null
  readonly models: readonly string[]
  readonly info: Omit<Body, 'info'>
  readonly deleted_keys: readonly string[]
  readonly error: { readonly type: string; readonly code: string; readonly message: string }
}

interface Answered {
  readonly status: number
  readonly body: Body
}

let litellm: Litellm
let nowMs = Date.UTC(2026, 10, 21, 5)
beforeAll(async () => {
  litellm = await startLitellm({ nowMs: () => nowMs })
})
afterAll(() => litellm.stop())

async function ask(
  path: string,
  body?: unknown,
  { url = realUrl ?? litellm.url, key = realKey ?? litellm.masterKey } = {},
): Promise<Answered> {
  const response = await fetch(new URL(path, url), {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: (await response.json()) as Body }
}

let made = 0
async function newKey(more: object = {}): Promise<{ key: string; hash: string; alias: string }> {
  made += 1
  const alias = `flowmeter-test-${process.pid}-${Date.now()}-${made}`
  const { status, body } = await ask('/key/generate', { key_alias: alias, ...more })
  expect(status).toBe(200)
  return { key: body.key, hash: body.token_id, alias }
}

describe('the routes of keys, of any LiteLLM', () => {
  test('a key is shown once, and known by its hash and alias afterwards', async () => {
    const { key, hash, alias } = await newKey({ max_budget: 10, rpm_limit: 100, models: ['m'] })
    expect(key).toMatch(/^sk-/)
    const { body } = await ask(`/key/info?key=${hash}`)
    expect(JSON.stringify(body)).not.toContain(key)
    expect(body.info).toMatchObject({ max_budget: 10, rpm_limit: 100, models: ['m'] })
    const listed = await ask(`/key/list?key_alias=${alias}`)
    expect(listed.body).toMatchObject({ keys: [hash], total_count: 1 })
    expect((await ask('/key/delete', { keys: [hash] })).status).toBe(200)
    expect((await ask(`/key/info?key=${hash}`)).status).toBe(404)
  })

  test('an alias is taken only once', async () => {
    const { hash, alias } = await newKey()
    const again = await ask('/key/generate', { key_alias: alias })
    expect(again.status).toBe(400)
    expect(again.body.error.message).toContain('already exists')
    await ask('/key/delete', { keys: [hash] })
  })

  test('an update touches what is sent, and null clears', async () => {
    const { hash } = await newKey({ max_budget: 10, rpm_limit: 100 })
    await ask('/key/update', { key: hash, max_budget: 5 })
    expect((await ask(`/key/info?key=${hash}`)).body.info).toMatchObject({
      max_budget: 5,
      rpm_limit: 100,
    })
    await ask('/key/update', { key: hash, max_budget: null })
    expect((await ask(`/key/info?key=${hash}`)).body.info.max_budget).toBeNull()
    await ask('/key/delete', { keys: [hash] })
  })

  test('blocking again is no error, and a blocked key is refused', async () => {
    const { key, hash } = await newKey()
    expect((await ask('/key/block', { key: hash })).body.blocked).toBe(true)
    expect((await ask('/key/block', { key: hash })).body.blocked).toBe(true)
    const call = await ask('/v1/chat/completions', { model: 'm', messages: [] }, { key })
    expect(call.status).toBe(401)
    expect(call.body.error.message).toContain('Key is blocked')
    expect((await ask('/key/unblock', { key: hash })).body.blocked).toBe(false)
    await ask('/key/delete', { keys: [hash] })
  })

  test('what cannot be is refused in its own words', async () => {
    const unknown = 'f'.repeat(64)
    expect([401, 404]).toContain((await ask('/key/block', { key: unknown })).status)
    expect((await ask('/key/block', { key: 'nonsense' })).status).toBe(400)
    expect((await ask('/key/list?size=101')).status).toBe(422)
    const stranger = await ask('/key/generate', {}, { key: 'sk-nobody' })
    expect(stranger.status).toBe(401)
    expect(stranger.body.error).toMatchObject({ type: 'token_not_found_in_db', code: '401' })
  })
})

describe('what needs a clock and a second proxy', () => {
  const local = { url: '', key: '' }
  let second = ''
  beforeAll(async () => {
    second = await litellm.addReplica()
  })
  beforeEach(() => {
    Object.assign(local, { url: litellm.url, key: litellm.masterKey })
    nowMs += 3_600_000
  })
  const make = (more: object = {}) =>
    ask('/key/generate', more, local).then(({ body }) => ({ key: body.key, hash: body.token_id }))
  const call = (key: string, url = litellm.url) =>
    ask('/v1/chat/completions', { model: 'm', messages: [] }, { url, key })

  test('a block is instant where it was asked for, and takes a minute elsewhere', async () => {
    const { key, hash } = await make()
    expect((await call(key, second)).status).toBe(200)
    await ask('/key/block', { key: hash }, local)
    expect((await call(key)).status).toBe(401)
    nowMs += 59_000
    expect((await call(key, second)).status).toBe(200)
    nowMs += 1_000
    expect((await call(key, second)).status).toBe(401)
  })

  test('an update by hash reaches the memory of the proxy that was asked only after a minute', async () => {
    const { key, hash } = await make()
    expect((await call(key)).status).toBe(200)
    await ask('/key/update', { key: hash, blocked: true }, local)
    expect((await call(key)).status).toBe(200)
    nowMs += 60_000
    expect((await call(key)).status).toBe(401)
  })

  test('the spend update of a call can bring a stale key back into every memory', async () => {
    const { key, hash } = await make()
    litellm.call({ key, model: 'm', replica: 1 })
    await ask('/key/block', { key: hash }, local)
    expect(litellm.call({ key, model: 'm', replica: 1, isStaleWriter: true })).toBe(200)
    expect((await call(key)).status).toBe(200)
    nowMs += 60_000
    expect((await call(key)).status).toBe(401)
  })

  test('budget, rate and models are held before a call is served', async () => {
    const dear = await make({ max_budget: 0.00002 })
    expect([(await call(dear.key)).status, (await call(dear.key)).status]).toEqual([200, 400])
    const slow = await make({ rpm_limit: 1 })
    expect([(await call(slow.key)).status, (await call(slow.key)).status]).toEqual([200, 429])
    const narrow = await make({ models: ['other'] })
    expect((await call(narrow.key)).body.error.type).toBe('key_model_access_denied')
  })

  test('served calls become rows of the owner, refused ones failure rows', async () => {
    await ask('/user/new', { user_id: 'carol' }, local)
    const { key, hash } = await make({ user_id: 'carol' })
    await call(key)
    await ask('/key/block', { key: hash }, local)
    await call(key)
    nowMs += 60_000
    const truth = litellm.truth().filter(({ user }) => user === 'carol')
    expect(truth).toMatchObject([{ requests: 1n, promptTokens: 10n, completionTokens: 20n }])
  })

  test('a viewer may look and not touch', async () => {
    const viewer = { url: litellm.url, key: litellm.viewerKey }
    const { hash } = await make()
    expect((await ask(`/key/info?key=${hash}`, undefined, viewer)).status).toBe(200)
    expect((await ask('/key/block', { key: hash }, viewer)).status).toBe(403)
    expect((await ask('/key/generate', {}, viewer)).status).toBe(403)
  })
})
