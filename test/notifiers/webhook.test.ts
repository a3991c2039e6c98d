import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { WebhookNotifier, webhookBody } from '../../src/notifiers/webhook/notifier.js'
import { signatureHeaders, signingKey } from '../../src/notifiers/webhook/signature.js'
import { messageOf, NOW_MS, noticeOf, notifierContract } from '../ports/notifier-contract.js'
import { TestReceiver } from '../support/test-receiver.js'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

function make(url: string, changes: object = {}): WebhookNotifier {
  const names = { name: 'on-call', urlEnv: 'HOOK_URL', secretEnv: 'HOOK_SECRET' }
  const place = { ...names, url, secret: SECRET, minSeverity: 'warning' } as const
  return new WebhookNotifier({ ...place, ...changes }, () => NOW_MS)
}

describe('the contract of a notifier', () => notifierContract((url) => make(url)))

// The worked example of the Standard Webhooks specification's own libraries.
test('signs as Standard Webhooks has it', () => {
  const key = signingKey(SECRET) ?? Buffer.of()
  const signed = signatureHeaders(key, {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    atS: 1_614_265_330,
    body: '{"test": 2432232314}',
  })
  expect(signed['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
})

test('what arrives is verified by what docs/notifications.md tells a receiver to do', async () => {
  const receiver = new TestReceiver()
  const url = await receiver.start()
  await make(url).tell(messageOf(), new AbortController().signal)
  await receiver.stop()
  const [{ headers, body } = { headers: {}, body: '' }] = receiver.received
  const example = new URL('../../docs/examples/verify-webhook.mjs', import.meta.url)
  const { verify } = await import(example.href)
  expect(verify(SECRET, headers, body, NOW_MS)).toBe(true)
  expect(verify(SECRET, headers, `${body} `, NOW_MS)).toBe(false)
  expect(verify(SECRET, { ...headers, 'webhook-id': 'msg_8' }, body, NOW_MS)).toBe(false)
  expect(verify(SECRET, headers, body, NOW_MS + 301_000)).toBe(false)
  expect(verify(SECRET, {}, body, NOW_MS)).toBe(false)
  const other = createHmac('sha256', 'other').update('x').digest('base64')
  expect(verify(`whsec_${other}`, headers, body, NOW_MS)).toBe(false)
})

test('the body', () => {
  const cleared = noticeOf({ change: 'cleared', clearedAtMs: NOW_MS })
  expect(JSON.parse(webhookBody(messageOf(cleared)))).toEqual({
    type: 'flowmeter.alarms',
    timestamp: '2026-11-29T12:00:00.000Z',
    data: {
      id: 'msg_7',
      alarms: [
        {
          alarm: 'wallet_low',
          change: 'cleared',
          severity: 'warning',
          says: 'flow 0x1 has 0.5, 3 days',
          raised_at: '2026-11-29T11:59:00.000Z',
          cleared_at: '2026-11-29T12:01:30.000Z',
          runbook: 'docs/runbooks/wallet_low.md',
        },
      ],
    },
  })
})

test('the body of a notice about one customer names account, key and reason', () => {
  const held = { number: 5, account: '7', key: 'fm-7-laptop', reason: 'quota', others: ['balance'] }
  const notice = noticeOf({ alarm: 'keys_blocked', change: 'unblocked', clearedAtMs: NOW_MS, held })
  const { data } = JSON.parse(webhookBody(messageOf(notice))) as { data: { alarms: object[] } }
  expect(data.alarms).toEqual([
    {
      ...{ alarm: 'keys_blocked', change: 'unblocked', severity: 'warning' },
      ...{ says: 'flow 0x1 has 0.5, 3 days', account: '7', key: 'fm-7-laptop' },
      ...{ reason: 'quota', others: ['balance'] },
      ...{ raised_at: '2026-11-29T11:59:00.000Z', cleared_at: '2026-11-29T12:01:30.000Z' },
      runbook: 'docs/runbooks/wallet_low.md',
    },
  ])
})

describe('settings that cannot work name the variable and never its value', () => {
  test.each([
    ['ftp://x/canary', {}, 'HOOK_URL'],
    ['file:///canary', {}, 'HOOK_URL'],
    ['canary', {}, 'HOOK_URL'],
    ['https://user:canary@x/', {}, 'HOOK_URL'],
    ['https://x/', { secret: 'canary' }, 'HOOK_SECRET'],
    ['https://x/', { secret: 'whsec_Y2FuYXJ5' }, 'HOOK_SECRET'],
  ])('%s %j', (url, changes, named) => {
    const making = () => make(url, changes)
    expect(making).toThrow(named)
    expect(making).not.toThrow(/canary|Y2FuYXJ5/)
  })
})
