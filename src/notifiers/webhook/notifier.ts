import { ConfigError } from '../../domain/errors.js'
import { iso } from '../../domain/instant.js'
import type { Notice, NoticeMessage, NoticeSeverity, Notifier, Told } from '../../ports/notifier.js'
import { type Place, Post } from '../post.js'
import { signatureHeaders, signingKey } from './signature.js'

export interface WebhookPlace extends Place {
  readonly minSeverity: NoticeSeverity
  /** The variable that holds the secret. */
  readonly secretEnv: string
  readonly secret: string
}

/** Signed by the rules of Standard Webhooks, so that libraries for it can check them. */
export class WebhookNotifier implements Notifier {
  readonly kind = 'webhook'
  readonly name: string
  readonly minSeverity: NoticeSeverity
  readonly #post: Post
  readonly #key: Buffer
  readonly #now: () => number

  /** @throws ConfigError `notify_url`, `notify_secret` */
  constructor(place: WebhookPlace, now: () => number) {
    const key = signingKey(place.secret)
    if (key === undefined) {
      throw new ConfigError(
        'notify_secret',
        `${place.secretEnv}, of "${place.name}" in notify: expected whsec_ and 24 to 64 bytes in ` +
          'base64, such as from: echo "whsec_$(openssl rand -base64 32)"',
      )
    }
    this.name = place.name
    this.minSeverity = place.minSeverity
    this.#post = new Post(place, now)
    this.#key = key
    this.#now = now
  }

  tell(message: NoticeMessage, signal: AbortSignal): Promise<Told> {
    const body = webhookBody(message)
    const atS = Math.floor(this.#now() / 1_000)
    const signed = signatureHeaders(this.#key, { id: message.id, atS, body })
    return this.#post.send(body, signed, signal)
  }
}

/** The same bytes whenever a message is sent. */
export function webhookBody({ id, atMs, notices }: NoticeMessage): string {
  return JSON.stringify({
    type: 'flowmeter.alarms',
    timestamp: iso(atMs),
    data: { id, alarms: notices.map(shown) },
  })
}

function shown({ raisedAtMs, clearedAtMs, runbook, held, ...notice }: Notice) {
  const { alarm, change, severity, says } = notice
  const { number: _, ...whose } = held ?? {}
  return {
    ...{ alarm, change, severity, says, ...whose },
    raised_at: iso(raisedAtMs),
    ...(clearedAtMs === undefined ? {} : { cleared_at: iso(clearedAtMs) }),
    runbook,
  }
}
