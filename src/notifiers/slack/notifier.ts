import type { Notice, NoticeMessage, NoticeSeverity, Notifier, Told } from '../../ports/notifier.js'
import { type Place, Post } from '../post.js'

export interface SlackPlace extends Place {
  readonly minSeverity: NoticeSeverity
}

/** Slack takes 50 blocks, and 3,000 characters in each. */
const SHOWN_MAX = 20
const SAYS_CHARS_MAX = 500
const TEXT_CHARS_MAX = 1_000

const MARKS: Readonly<Record<Notice['severity'], string>> = {
  page: ':rotating_light:',
  warning: ':warning:',
  info: ':information_source:',
}

/** By an incoming webhook. Its address is the only secret; Slack has no id to know repeats by. */
export class SlackNotifier implements Notifier {
  readonly kind = 'slack'
  readonly name: string
  readonly minSeverity: NoticeSeverity
  readonly #post: Post

  /** @throws ConfigError `notify_url` */
  constructor(place: SlackPlace, now: () => number) {
    this.name = place.name
    this.minSeverity = place.minSeverity
    this.#post = new Post(place, now)
  }

  tell(message: NoticeMessage, signal: AbortSignal): Promise<Told> {
    return this.#post.send(slackBody(message), {}, signal)
  }
}

/** `text` is what notifications on a phone show; blocks are what a channel shows. */
export function slackBody({ id, notices }: NoticeMessage): string {
  const shown = notices.slice(0, SHOWN_MAX)
  const more = notices.length - shown.length
  const blocks = [
    ...shown.flatMap((notice) => [
      { type: 'section', text: { type: 'mrkdwn', text: headOf(notice) } },
      // Plain: what customers wrote cannot mention a channel or hide a link.
      { type: 'section', text: { type: 'plain_text', emoji: false, text: saysOf(notice) } },
    ]),
    {
      type: 'context',
      elements: [
        { type: 'plain_text', emoji: false, text: `${more > 0 ? `and ${more} more · ` : ''}${id}` },
      ],
    },
  ]
  const summary = notices.map(({ alarm, change }) => `${alarm} ${change}`).join(', ')
  return JSON.stringify({ text: escaped(cut(`Flowmeter: ${summary}`, TEXT_CHARS_MAX)), blocks })
}

function headOf({ alarm, change, severity, runbook }: Notice): string {
  const isOver = change === 'cleared' || change === 'unblocked'
  const mark = isOver ? ':white_check_mark:' : MARKS[severity]
  return `${mark} *${escaped(alarm)}* ${change} · ${severity} · ${escaped(runbook)}`
}

function saysOf({ says, raisedAtMs, clearedAtMs }: Notice): string {
  const iso = (ms: number) => `${new Date(ms).toISOString().slice(0, 16)}Z`
  const until = clearedAtMs === undefined ? '' : ` until ${iso(clearedAtMs)}`
  return `${cut(says, SAYS_CHARS_MAX)} (since ${iso(raisedAtMs)}${until})`
}

/** Slack's own three. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}
