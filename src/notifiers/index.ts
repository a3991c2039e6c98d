import type { Notifier } from '../ports/notifier.js'
import type { NotifyConfig } from './config.js'
import { SlackNotifier } from './slack/notifier.js'
import { WebhookNotifier } from './webhook/notifier.js'

export { type NotifyConfig, notifyConfig } from './config.js'

/** The variables that hold secrets of a target. */
export function secretsOfTarget(target: NotifyConfig[number]): readonly string[] {
  return target.kind === 'webhook' ? [target.urlEnv, target.secretEnv] : [target.urlEnv]
}

/** @throws ConfigError `notify_url`, `notify_secret`, without any value */
export function createNotifiers(
  targets: NotifyConfig,
  secretOf: (variable: string) => string,
  now: () => number,
): readonly Notifier[] {
  return targets.map((target) => {
    const place = { ...target, url: secretOf(target.urlEnv) }
    return place.kind === 'webhook'
      ? new WebhookNotifier({ ...place, secret: secretOf(place.secretEnv) }, now)
      : new SlackNotifier(place, now)
  })
}
