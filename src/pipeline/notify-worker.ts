import { Bell } from '../runtime/bell.js'
import type { Logger } from '../runtime/log.js'
import type { Worker } from '../runtime/worker.js'
import { type NotifyParts, notifyNext } from './notify.js'

const IDLE_MS = 15_000

/** None where the settings name nobody to tell. */
export function notifyWorkers(parts: Omit<NotifyParts, 'onTried'>, log: Logger): Worker[] {
  if (parts.notifiers.length === 0) return []
  const onTried: NotifyParts['onTried'] = ({ id: message, target, tries }, told) => {
    if (told.ok) log.info({ message, target, tries }, 'somebody was told of alarms')
    else log.warn({ message, target, tries, why: told.why }, 'a target could not be told')
  }
  const step = (signal: AbortSignal) => notifyNext({ ...parts, onTried }, signal)
  return [{ name: 'notify', step, idleMs: IDLE_MS, bell: new Bell() }]
}
