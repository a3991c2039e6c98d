import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startServer } from '../../src/http/server.js'
import { receiveUsage } from '../../src/pipeline/receive.js'
import type { Store } from '../../src/ports/stores.js'
import { createReceiver, sourceConfig } from '../../src/sources/index.js'
import { openStore } from '../../src/store/index.js'
import { ManualClock } from '../support/manual-clock.js'
import { quietServerParts } from '../support/quiet-server.js'

const NOW_MS = Date.UTC(2026, 10, 21, 12)
const TOKENS = { west: 'canary-token-of-the-west', east: 'canary-token-of-the-east' }
const SINGLE = 'application/cloudevents+json'
const BATCH = 'application/cloudevents-batch+json; charset=utf-8'

let store: Store
let url: string
let rings: number
const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

beforeEach(async () => {
  const clock = new ManualClock(NOW_MS)
  store = openStore(':memory:', clock)
  await store.migrate()
  rings = 0
  const receivers = []
  for (const [name, token] of Object.entries(TOKENS)) {
    await store.records.addSource(name, NOW_MS)
    const config = sourceConfig.parse({ kind: 'usage-events', name, tokenEnv: 'TOKEN' })
    const receiver = await createReceiver(config, () => token)
    if (receiver !== undefined) receivers.push(receiver)
  }
  const server = await startServer({
    ...quietServerParts(store, clock),
    usageEvents: {
      receivers,
      receive: (receiver, events) => {
        rings += 1
        return receiveUsage({ records: store.records, clock }, receiver, events)
      },
    },
  })
  ends.push(
    () => store.close(),
    () => server.close(),
  )
  url = server.url
})

const event = (id: string, changes: object = {}, data: object = {}) => ({
  specversion: '1.0',
  type: 'flowmeter.usage.v1',
  source: '/meters/ocr',
  id,
  subject: 'alice',
  time: '2026-11-21T11:59:58.695+01:00',
  datacontenttype: 'application/json',
  data: { model: 'ocr-1', prompt_tokens: 100, completion_tokens: 7, pages: 3, ...data },
  ...changes,
})

async function post(body: unknown, headers: Readonly<Record<string, string>> = {}) {
  const answer = await fetch(`${url}/v1/usage`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: {
      'content-type': Array.isArray(body) ? BATCH : SINGLE,
      authorization: `Bearer ${TOKENS.west}`,
      ...headers,
    },
  })
  const text = await answer.text()
  expect(text).not.toContain('canary')
  return { status: answer.status, headers: answer.headers, body: JSON.parse(text) as unknown }
}

const stored = () => store.records.unattributed('none', 10_000)

describe('what is taken', () => {
  test('one event is one record, under the name of its source', async () => {
    const data = { cached_prompt_tokens: 40, ended_at: '2026-11-21T11:00:00Z', team_id: 'team' }
    expect(await post(event('1', {}, data))).toMatchObject({
      status: 200,
      body: { accepted: 1, duplicates: 0 },
    })
    expect(await stored()).toEqual([
      {
        key: { source: 'west', requestId: '/meters/ocr 1' },
        startedAtMs: Date.UTC(2026, 10, 21, 10, 59, 58, 695),
        endedAtMs: Date.UTC(2026, 10, 21, 11),
        payers: { user: 'alice', api_key: '', team_id: 'team', end_user: '' },
        model: 'ocr-1',
        ...{ promptTokens: 100n, cachedPromptTokens: 40n, completionTokens: 7n, spend: '' },
      },
    ])
  })

  test('a batch, once, however often it is sent', async () => {
    const batch = ['a', 'b', 'c'].map((id) => event(id))
    expect((await post(batch)).body).toEqual({ accepted: 3, duplicates: 0 })
    expect((await post(batch)).body).toEqual({ accepted: 0, duplicates: 3 })
    expect((await post([...batch, event('d'), event('d')])).body).toEqual({
      accepted: 1,
      duplicates: 4,
    })
    expect(await stored()).toHaveLength(4)
  })

  test('many senders at once: each event once', async () => {
    const batch = Array.from({ length: 50 }, (_, i) => event(`${i}`))
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(batch)))
    const sum = answers.reduce((n, { body }) => n + (body as { accepted: number }).accepted, 0)
    expect(sum).toBe(50)
    expect(await stored()).toHaveLength(50)
  })

  test('an id is unique within the event’s own source, and within the sender’s', async () => {
    await post([event('1'), event('1', { source: '/meters/other' })])
    await post(event('1'), { authorization: `Bearer ${TOKENS.east}` })
    const keys = (await stored()).map(({ key }) => `${key.source} ${key.requestId}`)
    expect(keys.sort()).toEqual([
      ...['east /meters/ocr 1', 'west /meters/ocr 1', 'west /meters/other 1'],
    ])
  })

  test('an empty batch is nothing', async () => {
    expect((await post([])).body).toEqual({ accepted: 0, duplicates: 0 })
  })

  test('a known event that says something else changes nothing', async () => {
    await post(event('1'))
    expect((await post(event('1', {}, { prompt_tokens: 1 }))).status).toBe(200)
    expect(await stored()).toMatchObject([{ promptTokens: 100n }])
    expect(await store.setAsides.waiting({}, 10)).toMatchObject([
      { record: { key: { requestId: '/meters/ocr 1' } }, differs: ['promptTokens'] },
    ])
  })
})

describe('what is refused', () => {
  test.each([
    ['specversion', { specversion: '0.3' }, {}],
    ['type', { type: 'com.example.other' }, {}],
    ['id', { id: '' }, {}],
    ['source', { source: 'with space' }, {}],
    ['subject', { subject: undefined }, {}],
    ['time', { time: '2026-11-21 11:00:00' }, {}],
    ['time', { time: undefined }, {}],
    ['time', { time: '2026-11-21T12:06:00Z' }, {}],
    ['time', { time: '1969-12-31T23:59:59Z' }, {}],
    ['datacontenttype', { datacontenttype: 'text/xml' }, {}],
    ['data', { data: undefined, data_base64: 'e30=' }, {}],
    ['data.model', {}, { model: '' }],
    ['data.prompt_tokens', {}, { prompt_tokens: -1 }],
    ['data.prompt_tokens', {}, { prompt_tokens: 1.5 }],
    ['data.prompt_tokens', {}, { prompt_tokens: '12' }],
    ['data.completion_tokens', {}, { completion_tokens: 1e13 }],
    ['data.cached_prompt_tokens', {}, { cached_prompt_tokens: 101 }],
    ['data.ended_at', {}, { ended_at: '2026-11-21T10:00:00Z' }],
  ])(
    'a wrong %s: 422, by its place and id, and nothing of the batch is stored',
    async (field, changes, data) => {
      const { status, body } = await post([
        event('good'),
        event('bad', changes, data),
        event('late'),
      ])
      expect(status).toBe(422)
      expect(body).toMatchObject({
        error: 'bad_events',
        events: [
          {
            index: 1,
            problem: expect.stringMatching(new RegExp(`(^|; )${field.replace('.', '\\.')}`)),
          },
        ],
      })
      expect(await stored()).toEqual([])
    },
  )

  test('one id with two contents in a batch', async () => {
    const { status, body } = await post([event('1'), event('1', {}, { prompt_tokens: 5 })])
    expect([status, body]).toMatchObject([422, { events: [{ index: 1, id: '1' }] }])
    expect(await stored()).toEqual([])
  })

  test('what is no event at all', async () => {
    for (const body of [null, 7, 'text', [null], [[]]]) {
      expect((await post(JSON.stringify(body), { 'content-type': BATCH })).status).toBe(422)
    }
  })

  test.each([
    ['no JSON', '{', { 'content-type': SINGLE }, 400],
    ['a batch as a single event', '[]', { 'content-type': SINGLE }, 422],
    ['a single event as a batch', '{}', { 'content-type': BATCH }, 422],
    ['binary mode', '{}', { 'content-type': 'application/json', 'ce-id': '1' }, 415],
    ['too many bytes', ' '.repeat(4 * 1024 * 1024 + 1), { 'content-type': SINGLE }, 413],
    ['too many events', `[${Array(1_001).fill('{}').join()}]`, { 'content-type': BATCH }, 422],
  ])('%s', async (_name, body, headers, status) => {
    expect(await post(body, headers)).toMatchObject({
      status,
      body: { error: expect.any(String), message: expect.any(String) },
    })
  })

  test.each([
    ['no token', ''],
    ['another', 'Bearer wrong'],
    ['the beginning of one', `Bearer ${TOKENS.west.slice(0, -1)}`],
    ['another scheme', `Basic ${TOKENS.west}`],
  ])('%s: 401, before anything is read', async (_name, authorization) => {
    const answer = await post(event('1'), { authorization })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect([rings, await stored()]).toEqual([0, []])
  })

  test('a token that could be guessed ends the start', async () => {
    const config = sourceConfig.parse({ kind: 'usage-events', name: 'm', tokenEnv: 'TOKEN' })
    await expect(createReceiver(config, () => 'short')).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'usage_token',
    })
  })
})
