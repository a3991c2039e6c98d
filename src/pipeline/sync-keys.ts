import { RetryableError, TerminalError } from '../domain/errors.js'
import { formatDollars, type KeyLimits } from '../domain/key-limits.js'
import type { Hold } from '../domain/virtual-key.js'
import type { Clock } from '../ports/clock.js'
import type { GatewayKey, KeyChange, KeyGateway } from '../ports/key-gateway.js'
import type { SeenKey, StoredKey, SyncOutcome } from '../ports/keys.js'
import type { Stores } from '../ports/stores.js'
import type { StepOutcome } from '../runtime/worker.js'
import type { OwnedKey } from './key-owner.js'

export interface SyncKeysParts {
  readonly stores: Pick<Stores, 'keys' | 'holds'>
  readonly gateway: KeyGateway
  readonly clock: Clock
  /** From one comparison to the next where nothing changed. */
  readonly checkEveryMs: number
  /** Why a key's usage is not charged to its account; undefined where it is. */
  readonly whyNotCharged: (key: OwnedKey) => Promise<string | undefined>
  /** Told what somebody did at the gateway and what became of it, for the log. */
  readonly tell?: (key: StoredKey, what: string) => void
}

const KEYS_A_STEP = 20
const HOLDS_A_STEP = 100
/** A blocked key is looked at so often: whoever unblocks it by hand spends what is not there. */
const HELD_CHECK_MS = 60_000
const BACKOFF_MS_MIN = 5_000
const BACKOFF_MS_MAX = 600_000
/** Where it may pass by itself: a block must not wait for long once LiteLLM works again. */
const PASSING_MS_MAX = 15_000
/** What keeps every key from being looked at: the worker waits, and no key has failed. */
const WHOLE_GATEWAY = ['keys_unreachable', 'keys_refused', 'keys_role', 'keys_no_database']

/**
 * Makes the gateway as it is wanted: looks at keys that were changed, whose holds changed, or that
 * were not looked at for a while; applies what differs; and reads it back. The wish stands in the
 * store before anything is sent, so an outage or a crash costs time and nothing else.
 *
 * Whose block is it? Ours has our mark on the key, written in one step with the block and taken away
 * in one with it; a block without the mark is somebody else's and is never lifted. What is lost: an
 * operator who blocks in LiteLLM what we have blocked already leaves no trace there, and the key works
 * again when our reason ends. `flowmeter keys block` is a reason of its own.
 */
export async function syncKeysNext(
  parts: SyncKeysParts,
  signal: AbortSignal,
): Promise<StepOutcome> {
  const { stores, clock } = parts
  await stores.holds.expire(HOLDS_A_STEP)
  const due = await stores.keys.due(clock.now(), KEYS_A_STEP)
  for (const key of due) await syncKey(parts, key, signal)
  return due.length === 0 ? 'idle' : 'advanced'
}

/**
 * One look at one key, as it was read from the store.
 *
 * @throws RetryableError where the gateway takes no question at all
 */
export async function syncKey(
  parts: SyncKeysParts,
  key: StoredKey,
  signal: AbortSignal,
): Promise<void> {
  const { keys } = parts.stores
  if (key.state === 'making') {
    // Whoever made it is gone or gave up, and nobody was handed its secret.
    await keys.change(key.id, { state: 'deleted' })
    return
  }
  await keys.saveSync(key.id, key.revision, await outcomeOf(parts, key, signal))
}

async function outcomeOf(
  parts: SyncKeysParts,
  key: StoredKey,
  signal: AbortSignal,
): Promise<SyncOutcome> {
  const { gateway } = parts
  if (key.gateway !== gateway.name) {
    const problem = `it belongs to source ${key.gateway}, and the settings manage ${gateway.name}`
    return failed(parts, key, problem)
  }
  try {
    return await (key.state === 'deleted'
      ? takeAway(parts, key, signal)
      : follow(parts, key, signal))
  } catch (error) {
    if (error instanceof TerminalError) return failed(parts, key, error.message)
    if (error instanceof RetryableError && !WHOLE_GATEWAY.includes(error.code)) {
      return failed(parts, key, error.message, undefined, PASSING_MS_MAX)
    }
    throw error
  }
}

async function takeAway(
  parts: SyncKeysParts,
  key: StoredKey,
  signal: AbortSignal,
): Promise<SyncOutcome> {
  await parts.gateway.delete(key.id, signal)
  if ((await parts.gateway.find(key.id, signal)) === undefined) {
    return { status: 'synced', seen: undefined, nextTryAtMs: undefined }
  }
  return failed(parts, key, 'it was deleted and is still there')
}

async function follow(
  parts: SyncKeysParts,
  key: StoredKey,
  signal: AbortSignal,
): Promise<SyncOutcome> {
  const { gateway, stores } = parts
  const before = await gateway.find(key.id, signal)
  if (before === undefined) {
    return failed(
      parts,
      key,
      'somebody deleted it at the gateway: delete it here, too, or rotate it',
    )
  }
  const isHeld = (await holdsOn(key, stores)).length > 0
  const change = changeTo(key, before)
  const step = blockStep(isHeld, key, before)
  if (change === undefined && step === undefined) return judged(parts, key, before, isHeld)

  // A block comes first, whatever else may be refused; a key works again when its limits are right.
  if (step === 'block') await block(parts, key, before, signal)
  if (change !== undefined) await gateway.update(key.id, change, signal)
  if (step === 'unblock') await gateway.unblock(key.id, signal)
  if (step === 'unmark') await gateway.unmark(key.id, signal)
  const after = await gateway.find(key.id, signal)
  if (after === undefined) return failed(parts, key, 'it was gone after it had been changed')
  return judged(parts, key, after, isHeld)
}

async function block(
  { gateway, tell }: SyncKeysParts,
  key: StoredKey,
  before: GatewayKey,
  signal: AbortSignal,
): Promise<void> {
  await gateway.block(key.id, key.blockMark, signal)
  if (!before.isBlocked && before.blockMark === key.blockMark) {
    tell?.(key, 'somebody unblocked it at the gateway while a hold stands: it is blocked again')
  }
  if (before.isBlocked) tell?.(key, 'it was used although it is blocked: it is blocked once more')
}

/** Those that stand for a key: its own and its account's. */
export async function holdsOn(
  key: Pick<StoredKey, 'id' | 'account'>,
  { holds }: Pick<Stores, 'holds'>,
): Promise<readonly Hold[]> {
  const all = await holds.of(key.account)
  return all.filter((hold) => hold.key === undefined || hold.key === key.id)
}

export function isForeignBlock(
  { isBlocked, blockMark }: GatewayKey,
  key: Pick<StoredKey, 'blockMark'>,
): boolean {
  return isBlocked && blockMark !== key.blockMark
}

type BlockStep = 'block' | 'unblock' | 'unmark'

function blockStep(isHeld: boolean, key: StoredKey, before: GatewayKey): BlockStep | undefined {
  const isMarked = before.blockMark === key.blockMark
  if (!isHeld) return isMarked ? (before.isBlocked ? 'unblock' : 'unmark') : undefined
  if (!before.isBlocked) return 'block'
  // Blocked, and yet it spends: some proxy has an old copy of it in memory.
  return isMarked && wasUsed(key, before) ? 'block' : undefined
}

function wasUsed({ seen }: StoredKey, { spend }: GatewayKey): boolean {
  return seen?.isBlocked === true && seen.spend !== spend
}

/** What has to change for the gateway to be right; undefined for nothing. */
function changeTo(key: StoredKey, { limits, userId }: GatewayKey): KeyChange | undefined {
  const wrong = wrongLimits(key.limits, limits)
  const change = { ...wrong, ...(userId === key.userId ? {} : { userId: key.userId }) }
  return Object.keys(change).length === 0 ? undefined : change
}

function wrongLimits(wanted: KeyLimits, seen: KeyLimits | undefined): Partial<KeyLimits> {
  if (seen === undefined) return wanted
  const { maxBudget, budgetDuration, rpmLimit, tpmLimit, models } = wanted
  return {
    ...(seen.maxBudget === maxBudget ? {} : { maxBudget }),
    // Said again it would start anew: it is sent only where it differs.
    ...(seen.budgetDuration === budgetDuration ? {} : { budgetDuration }),
    ...(seen.rpmLimit === rpmLimit ? {} : { rpmLimit }),
    ...(seen.tpmLimit === tpmLimit ? {} : { tpmLimit }),
    ...(isSameSet(seen.models, models) ? {} : { models }),
  }
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return [...some].sort().join('\n') === [...others].sort().join('\n')
}

/** What the gateway shows in the end, against what is wanted. */
async function judged(
  parts: SyncKeysParts,
  key: StoredKey,
  shown: GatewayKey,
  isHeld: boolean,
): Promise<SyncOutcome> {
  const { clock, checkEveryMs, whyNotCharged } = parts
  const isForeign = isForeignBlock(shown, key)
  const seen = {
    ...{ atMs: clock.now(), isBlocked: shown.isBlocked },
    ...{ isForeignBlock: isForeign, spend: shown.spend },
  }
  const problem = differenceOf(key, shown, isHeld) ?? (await whyNotCharged(key))
  if (problem !== undefined) return failed(parts, key, problem, seen)
  const waitMs = isHeld ? Math.min(HELD_CHECK_MS, checkEveryMs) : checkEveryMs
  return { status: 'synced', seen, nextTryAtMs: clock.now() + waitMs }
}

function differenceOf(key: StoredKey, shown: GatewayKey, isHeld: boolean): string | undefined {
  const change = changeTo(key, shown)
  if (change !== undefined) {
    const names = Object.keys(change).join(', ')
    return `the gateway was told and shows otherwise: ${names}${budgetText(shown, change)}`
  }
  if (isHeld && !shown.isBlocked) return 'it was blocked and is not'
  const isOurs = shown.isBlocked && shown.blockMark === key.blockMark
  return !isHeld && isOurs ? 'it was unblocked and is blocked' : undefined
}

function budgetText({ limits }: GatewayKey, { maxBudget }: KeyChange): string {
  const shown = limits?.maxBudget
  if (shown === undefined || shown === null || maxBudget === undefined) return ''
  return ` (a budget of ${formatDollars(shown)})`
}

function failed(
  { clock }: SyncKeysParts,
  { failures }: StoredKey,
  problem: string,
  seen?: SeenKey,
  waitMsMax = BACKOFF_MS_MAX,
): SyncOutcome {
  const waitMs = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(failures, 16), waitMsMax)
  return { status: 'failed', problem, seen, nextTryAtMs: clock.now() + waitMs }
}
