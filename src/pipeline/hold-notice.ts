import type { HoldChange, HoldReason } from '../domain/virtual-key.js'
import type { StoredKey } from '../ports/keys.js'
import type { Notice, NoticeSeverity } from '../ports/notifier.js'
import type { AlarmId } from './alarms.js'

/** Somebody may have to pay, or to be asked. The others end by themselves, or somebody said so. */
const SEVERITY: Readonly<Record<HoldReason, NoticeSeverity>> = {
  balance: 'warning',
  budget: 'warning',
  quota: 'info',
  operator: 'info',
  owner: 'info',
}
const ALARM: AlarmId = 'keys_blocked'

/** What is told when an account, or one of its keys, is blocked for a reason and no longer is. */
export function holdNotice(
  { number, change, account, reason, text, sinceMs, atMs, others }: HoldChange,
  key: Pick<StoredKey, 'id' | 'alias'> | undefined,
): Notice {
  const name = key && (key.alias === '' ? key.id : key.alias)
  const whose = name === undefined ? `account ${account}` : `key ${name} of account ${account}`
  const rest = others.length === 0 ? '' : `; it still is for ${others.join(', ')}`
  const isOver = change === 'unblocked'
  return {
    ...{ alarm: ALARM, change, severity: SEVERITY[reason] },
    held: { number, account: `${account}`, ...(name && { key: name }), reason, others },
    says: isOver
      ? `${whose} is no longer blocked for ${reason}${rest}`
      : `${whose} is blocked for ${reason}: ${text}`,
    raisedAtMs: sinceMs,
    ...(isOver ? { clearedAtMs: atMs } : {}),
    runbook: `docs/runbooks/${ALARM}.md`,
  }
}
