import type { Notifier } from '../ports/notifier.js'
import type { NotifyConfig } from './config.js'

export { type NotifyConfig, notifyConfig } from './config.js'

/** The variables that hold secrets of a target. */
export function secretsOfTarget(target: NotifyConfig[number]): readonly string[] {
  return target.kind === 'webhook' ? [target.urlEnv, target.secretEnv] : [target.urlEnv]
}

/**
 * Each loads when it is chosen.
 *
 * @throws ConfigError `notify_url`, `notify_secret`, without any value
 */
export function createNotifiers(
  targets: NotifyConfig,
  secretOf: (variable: string) => string,
  now: () => number,
): Promise<readonly Notifier[]> {
  return Promise.all(
    targets.map(async (target) => {
      const place = { ...target, url: secretOf(target.urlEnv) }
      if (place.kind === 'slack') {
        const { SlackNotifier } = await import('./slack/notifier.js')
        return new SlackNotifier(place, now)
      }
      const { WebhookNotifier } = await import('./webhook/notifier.js')
      return new WebhookNotifier({ ...place, secret: secretOf(place.secretEnv) }, now)
    }),
  )
}
