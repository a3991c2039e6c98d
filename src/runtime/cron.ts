import { schedule, validate } from 'node-cron'
import { ConfigError } from '../domain/errors.js'

/**
 * Calls `tick` at the times of a cron expression, read in UTC. Returns what ends it.
 *
 * @throws ConfigError `cron` for an expression that is none
 */
export function startCron(expression: string, tick: () => void): () => void {
  if (!validate(expression)) {
    const example = 'such as */1 * * * * for every minute'
    throw new ConfigError('cron', `POLL_CRON: expected a cron expression, ${example}`)
  }
  const task = schedule(expression, tick, { timezone: 'Etc/UTC' })
  return () => {
    void task.destroy()
  }
}
