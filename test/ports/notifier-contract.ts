import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Notice, NoticeMessage, Notifier } from '../../src/ports/notifier.js'
import { type Answer, TestReceiver } from '../support/test-receiver.js'

export const AT_MS = Date.parse('2026-11-29T12:00:00Z')
export const NOW_MS = AT_MS + 90_000

export function noticeOf(changes: Partial<Notice> = {}): Notice {
  return {
    alarm: 'wallet_low',
    change: 'raised',
    severity: 'warning',
    says: 'flow 0x1 has 0.5, 3 days',
    raisedAtMs: AT_MS - 60_000,
    runbook: 'docs/runbooks/wallet_low.md',
    ...changes,
  }
}

export function messageOf(...notices: readonly Notice[]): NoticeMessage {
  return { id: 'msg_7', atMs: AT_MS, notices: notices.length === 0 ? [noticeOf()] : notices }
}

/** What every place to tell somebody promises. Call it once per adapter. */
export function notifierContract(make: (url: string) => Notifier): void {
  let receiver: TestReceiver
  let url: string
  beforeEach(async () => {
    receiver = new TestReceiver()
    url = await receiver.start()
  })
  afterEach(() => receiver.stop())

  const { signal } = new AbortController()
  const tellInto = (...answers: readonly Answer[]) => {
    receiver.answers.push(...answers)
    return make(`${url}/secret-path`).tell(messageOf(), signal)
  }

  test('posts one JSON document to its address, and is told so', async () => {
    expect(await tellInto()).toEqual({ ok: true, answer: '200' })
    expect(receiver.received).toHaveLength(1)
    const [{ path, headers, body } = { path: '', headers: {}, body: '' }] = receiver.received
    expect(path).toBe('/secret-path')
    expect(headers['content-type']).toBe('application/json')
    expect(body).toContain('wallet_low')
    expect(() => JSON.parse(body)).not.toThrow()
  })

  test('the same message is the same bytes', async () => {
    await tellInto()
    await tellInto()
    const [first, second] = receiver.received
    expect(second?.body).toBe(first?.body)
  })

  test.each([400, 401, 404, 408, 500, 503])('%i is a failure that may pass', async (status) => {
    const told = await tellInto({ status, body: 'secret answer' })
    expect(told).toEqual({ ok: false, why: `answered ${status}`, isFinal: false })
  })

  test('410 ends it', async () => {
    expect(await tellInto({ status: 410 })).toMatchObject({ ok: false, isFinal: true })
  })

  test.each([
    ['7', 7_000],
    [new Date(NOW_MS + 30_000).toUTCString(), 30_000],
    ['999999', 3_600_000],
    ['soon', undefined],
  ])('429 with Retry-After: %s', async (value, waitMs) => {
    const told = await tellInto({ status: 429, headers: { 'retry-after': value } })
    expect(told).toMatchObject({ ok: false, isFinal: false })
    expect('retryAfterMs' in told ? told.retryAfterMs : undefined).toBe(waitMs)
  })

  // The attack: a receiver that sends us to an address inside.
  test('no redirect is followed', async () => {
    const location = `${url}/inside`
    const told = await tellInto({ status: 307, headers: { location } })
    expect(told).toMatchObject({ ok: false, why: 'answered 307: redirects are not followed' })
    expect(receiver.received.map(({ path }) => path)).toEqual(['/secret-path'])
  })

  test('a connection that ends after the message arrived is a failure that may pass', async () => {
    const told = await tellInto('drop')
    expect(told).toMatchObject({ ok: false, isFinal: false })
    expect(receiver.received).toHaveLength(1)
  })

  test('an answer without an end is cut off', async () => {
    const told = await tellInto({ status: 200, body: 'x'.repeat(100_000) })
    expect(told).toMatchObject({ ok: false, isFinal: false })
  })

  test('nobody listens: a failure that may pass, and says nothing of the address but its host', async () => {
    await receiver.stop()
    const told = await tellInto()
    expect(told).toMatchObject({ ok: false, isFinal: false })
    expect(JSON.stringify(told)).not.toContain('secret')
    receiver = new TestReceiver()
    await receiver.start()
  })

  test('the signal ends a try that hangs', async () => {
    receiver.answers.push('hang')
    const ending = new AbortController()
    const arrived = receiver.arrival()
    const told = make(url).tell(messageOf(), ending.signal)
    await arrived
    ending.abort()
    await expect(told).rejects.toThrow(/abort/i)
  })

  test('a hundred alarms, with the longest of words, are one message', async () => {
    const many = Array.from({ length: 100 }, (_, i) =>
      noticeOf({ alarm: `alarm_${i}`, says: '<!channel> & "quoted" \n'.repeat(500) }),
    )
    const told = await make(url).tell(messageOf(...many), signal)
    expect(told.ok).toBe(true)
    expect(receiver.received).toHaveLength(1)
  })
}
