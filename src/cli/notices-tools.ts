import { randomBytes } from 'node:crypto'
import { loadConfig, loadMappingConfig } from '../config.js'
import { createNotifiers } from '../notifiers/index.js'
import { resendMessages } from '../pipeline/notify.js'
import type { NoticeMessage } from '../ports/notifier.js'
import { systemClock as clock } from '../runtime/clock.js'
import type { NoticeTools, Tried } from './notices.js'
import { withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

export function noticeTools(env: Environment, folder: string, signal: AbortSignal): NoticeTools {
  const file = () => loadMappingConfig(env, folder).databaseUrl
  return {
    list: (limit) => withStore(file(), ({ notices }) => notices.newest(limit)),
    resend: (which) => withStore(file(), (store) => resendMessages(store, which, clock.now())),
    async test(target) {
      const { notify, secretOf } = loadConfig(env, folder)
      const chosen = notify.filter(({ name }) => target === undefined || name === target)
      const tried: Tried[] = []
      for (const notifier of await createNotifiers(chosen, secretOf, () => clock.now())) {
        const message = testMessage(clock.now())
        const told = await notifier.tell(message, signal)
        tried.push({ target: notifier.name, kind: notifier.kind, id: message.id, told })
      }
      return tried
    },
  }
}

/** Nobody can have seen it before: its id is by chance. */
function testMessage(atMs: number): NoticeMessage {
  return {
    id: `msg_test_${randomBytes(12).toString('hex')}`,
    atMs,
    notices: [
      {
        alarm: 'test',
        change: 'test',
        severity: 'info',
        says: 'Somebody tries whether Flowmeter can tell you of alarms. Nothing is wrong.',
        raisedAtMs: atMs,
        runbook: 'docs/notifications.md',
      },
    ],
  }
}
