import { schedule } from 'node-cron'

/** Calls `tick` at the times of a cron expression, read in UTC. Returns what ends it. */
export function startCron(expression: string, tick: () => void): () => void {
  const task = schedule(expression, tick, { timezone: 'Etc/UTC' })
  return () => {
    void task.destroy()
  }
}
