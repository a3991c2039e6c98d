import { keccak, utf8 } from '../domain/bytes.js'
import { canonicalJson } from '../domain/canonical-json.js'
import type { Clock } from '../ports/clock.js'
import type { SavedMessage } from '../ports/notices.js'
import { type Notice, type Notifier, SEVERITIES, type Told } from '../ports/notifier.js'
import type { Store, Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import type { Alarm } from './alarms.js'
import { FLAPPING_MS, observe } from './episodes.js'
import { holdNotice } from './hold-notice.js'

/** From one message to a target to the next: what comes meanwhile is in that one. */
export const MESSAGE_EVERY_MS = 60_000
/** With RETRY_MS they last about seven hours. */
export const TRIES_MAX = 12
const RETRY_MS_MIN = 10_000
const RETRY_MS_MAX = 3_600_000
const RETRY_FACTOR = 3
const NOTICES_A_MESSAGE = 100
const CHANGES_A_STEP = 200
const MESSAGES_A_STEP = 20
const RESENT_MAX = 1_000
const KEPT_MS = 90 * 24 * 3_600_000
/** One given up is an alarm for so long, unless it is sent again. */
export const DEAD_TOLD_MS = 7 * 24 * 3_600_000

export interface NotifyParts {
  readonly store: Store
  readonly notifiers: readonly Notifier[]
  readonly alarms: () => Promise<readonly Alarm[]>
  readonly clock: Clock
  /** Told what came of each try. */
  readonly onTried?: (message: SavedMessage, told: Told) => void
}

/**
 * Looks at the alarms and at whose keys were blocked, saves what is to be told of them, puts it into messages and tries those that
 * are due. Every try is written down before it begins: a process that dies in one counts it, and
 * tries the same message with the same id again.
 */
export async function notifyNext(parts: NotifyParts, signal: AbortSignal): Promise<StepOutcome> {
  const { store, notifiers, clock } = parts
  const alarms = await parts.alarms()
  await store.transaction((stores) => note(stores, parts, alarms))
  for (const { name } of notifiers) {
    await store.transaction((stores) => gather(stores, name, clock.now()))
  }
  const due = await store.notices.due(clock.now(), MESSAGES_A_STEP)
  for (const message of due) {
    const notifier = notifiers.find(({ name }) => name === message.target)
    await attempt(parts, message, notifier, signal)
  }
  await store.notices.prune(clock.now() - KEPT_MS)
  return due.length === MESSAGES_A_STEP ? 'advanced' : 'idle'
}

/**
 * Makes messages due again, whatever came of them; the daemon sends them, with the same ids.
 *
 * @param which one by its id, or `dead`: all that were given up
 */
export function resendMessages(store: Store, which: string, nowMs: number): Promise<string[]> {
  return store.transaction(async ({ notices }) => {
    const all = which === 'dead' ? await notices.newest(RESENT_MAX) : [await notices.message(which)]
    const chosen = all.filter(
      (one): one is SavedMessage => one !== undefined && (which !== 'dead' || one.state === 'dead'),
    )
    for (const { notices: _told, ...message } of chosen) {
      const again = { state: 'due', tries: 0, nextAtMs: nowMs, endedAtMs: undefined } as const
      await notices.saveMessage({ ...message, ...again })
    }
    return chosen.map(({ id }) => id)
  })
}

async function note(
  stores: Stores,
  { notifiers, clock }: NotifyParts,
  alarms: readonly Alarm[],
): Promise<void> {
  const { notices } = stores
  const nowMs = clock.now()
  const observed = observe(await notices.episodes(nowMs - FLAPPING_MS), alarms, nowMs)
  for (const episode of observed.episodes) await notices.saveEpisode(episode)
  for (const notice of [...observed.notices, ...(await takeHoldNotices(stores))]) {
    for (const { name, minSeverity } of notifiers) {
      const isTold = SEVERITIES.indexOf(notice.severity) <= SEVERITIES.indexOf(minSeverity)
      if (isTold) await notices.add(name, notice)
    }
  }
}

/** Of changes that were not told yet. They are forgotten here: in one transaction with the notices. */
async function takeHoldNotices({ holds, keys }: Stores): Promise<readonly Notice[]> {
  const changes = await holds.changes(CHANGES_A_STEP)
  const last = changes.at(-1)
  if (last === undefined) return []
  const told: Notice[] = []
  for (const change of changes) {
    const key = change.key === undefined ? undefined : await keys.get(change.key)
    // With a key that is deleted nobody is let go on.
    if (key === undefined || key.state !== 'deleted') told.push(holdNotice(change, key))
  }
  await holds.forgetChanges({ upTo: last.number })
  return told
}

async function gather({ notices }: Stores, target: string, nowMs: number): Promise<void> {
  const waiting = await notices.waiting(target, NOTICES_A_MESSAGE)
  if (waiting.length === 0) return
  const last = await notices.lastMadeAtMs(target)
  if (last !== undefined && nowMs - last < MESSAGE_EVERY_MS) return
  await notices.gather({
    id: messageId(target, waiting),
    target,
    state: 'due',
    tries: 0,
    madeAtMs: nowMs,
    nextAtMs: nowMs,
    endedAtMs: undefined,
    problem: undefined,
    notices: waiting,
  })
}

/** Of what it tells: no two messages have the same, and no message has two. */
export function messageId(target: string, notices: readonly Notice[]): string {
  const told = notices.map(({ alarm, raisedAtMs, change, held }) => {
    const about = held === undefined ? [] : [`${held.number}`]
    return [alarm, `${raisedAtMs}`, change, ...about]
  })
  return `msg_${keccak(utf8(canonicalJson([target, ...told]))).slice(2, 34)}`
}

async function attempt(
  { store: { notices }, clock, onTried }: NotifyParts,
  message: SavedMessage,
  notifier: Notifier | undefined,
  signal: AbortSignal,
): Promise<void> {
  const begun = { ...message, tries: message.tries + 1 }
  const next = { ...begun, nextAtMs: clock.now() + retryMs(begun.tries) }
  await notices.saveMessage(next)
  const told: Told =
    notifier === undefined
      ? { ok: false, isFinal: true, why: 'the settings name no such target any more' }
      : await notifier.tell(
          { id: message.id, atMs: message.madeAtMs, notices: worstFirst(message.notices) },
          signal,
        )
  const nowMs = clock.now()
  if (told.ok) {
    await notices.saveMessage({ ...begun, state: 'sent', endedAtMs: nowMs, problem: undefined })
  } else if (told.isFinal || begun.tries >= TRIES_MAX) {
    await notices.saveMessage({ ...begun, state: 'dead', endedAtMs: nowMs, problem: told.why })
  } else {
    const waitMs = Math.max(retryMs(begun.tries), Math.min(told.retryAfterMs ?? 0, RETRY_MS_MAX))
    await notices.saveMessage({ ...begun, nextAtMs: nowMs + waitMs, problem: told.why })
  }
  onTried?.(begun, told)
}

function retryMs(tries: number): number {
  return Math.min(RETRY_MS_MIN * RETRY_FACTOR ** Math.min(tries - 1, 16), RETRY_MS_MAX)
}

function worstFirst(notices: readonly Notice[]): readonly Notice[] {
  return notices.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
}
