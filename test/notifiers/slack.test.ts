import { describe, expect, test } from 'vitest'
import { SlackNotifier, slackBody } from '../../src/notifiers/slack/notifier.js'
import type { Notice } from '../../src/ports/notifier.js'
import { messageOf, NOW_MS, noticeOf, notifierContract } from '../ports/notifier-contract.js'

describe('the contract of a notifier', () =>
  notifierContract((url) => {
    const place = { name: 'channel', urlEnv: 'SLACK_URL', url } as const
    return new SlackNotifier({ ...place, minSeverity: 'warning' }, () => NOW_MS)
  }))

interface Body {
  readonly text: string
  readonly blocks: readonly {
    readonly type: string
    readonly text?: { readonly type: string; readonly text: string }
    readonly elements?: readonly { readonly text: string }[]
  }[]
}
const bodyOf = (...notices: readonly Notice[]): Body =>
  JSON.parse(slackBody(messageOf(...notices))) as Body

test('says the alarm, what became of it, its severity and its page', () => {
  const { text, blocks } = bodyOf(noticeOf(), noticeOf({ alarm: 'disk_low', change: 'cleared' }))
  expect(text).toBe('Flowmeter: wallet_low raised, disk_low cleared')
  expect(blocks[0]?.text?.text).toBe(
    ':warning: *wallet_low* raised · warning · docs/runbooks/wallet_low.md',
  )
  expect(blocks[1]?.text?.text).toBe('flow 0x1 has 0.5, 3 days (since 2026-11-29T11:59Z)')
  expect(blocks[2]?.text?.text).toContain(':white_check_mark: *disk_low* cleared')
  expect(blocks.at(-1)?.elements?.[0]?.text).toBe('msg_7')
  const unblocked = bodyOf(noticeOf({ alarm: 'keys_blocked', change: 'unblocked' }))
  expect(unblocked.blocks[0]?.text?.text).toContain(':white_check_mark: *keys_blocked* unblocked')
})

// The attack: a user who names themselves so that everybody is called, or a link looks like ours.
test('what customers wrote is plain text, and nothing else is theirs', () => {
  const evil = '<!channel> <https://evil|our page> *bold*'
  const { text, blocks } = bodyOf(noticeOf({ says: evil }))
  expect(blocks.filter((block) => block.text?.text.includes('evil'))).toEqual([
    expect.objectContaining({ text: expect.objectContaining({ type: 'plain_text' }) }),
  ])
  expect(text).not.toContain('evil')
  expect(bodyOf(noticeOf({ alarm: '<!channel>' })).text).toContain('&lt;!channel&gt;')
})

test('keeps what Slack takes: 50 blocks, 3,000 characters in each', () => {
  const many = Array.from({ length: 100 }, (_, i) =>
    noticeOf({ alarm: `alarm_${i}`, says: 'x'.repeat(9_000) }),
  )
  const { blocks } = bodyOf(...many)
  expect(blocks.length).toBeLessThanOrEqual(50)
  expect(Math.max(...blocks.map(({ text }) => text?.text.length ?? 0))).toBeLessThan(3_000)
  expect(blocks.at(-1)?.elements?.[0]?.text).toBe('and 80 more · msg_7')
})
