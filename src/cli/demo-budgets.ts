import { setTimeout as sleep } from 'node:timers/promises'
import type { ShownKey } from '../pipeline/shown-keys.js'

/** What the demo of budgets stands on. */
export interface BudgetsStage {
  readonly daemonUrl: string
  /** Of the daemon, for making a key. */
  readonly adminToken: string
  /** Whose vault runs dry, and the user that the mapping sends there. */
  readonly account: string
  readonly user: string
  /** Uses a key as a client does; LiteLLM's answer. */
  readonly ask: (key: string) => Promise<Answered>
  /** The same with many tokens; its status. */
  readonly burn: (key: string, tokens: number) => number
  /** Puts FLOW into the vault. */
  readonly deposit: (flow: string) => Promise<void>
  readonly progress: (line: string) => void
  readonly signal: AbortSignal
}

export interface Answered {
  readonly status: number
  /** What it says where it refuses. */
  readonly message: string
}

/** Some ten dollars of the default plan. */
const TOKENS_A_CALL = 600_000
const CALLS_MAX = 60
const CALL_EVERY_MS = 2_000
const DEPOSIT_FLOW = '400.0'
/** Rows are read, priced and looked at; and LiteLLM's proxies have a key in memory for a minute. */
const WAIT_MS_MAX = 150_000
const POLL_MS = 500

/**
 * A vault runs dry, LiteLLM refuses its key, a deposit comes, and the key works again.
 *
 * @returns checks by name, each `0` where it came out right
 */
export async function showBudgets(stage: BudgetsStage): Promise<Record<string, string>> {
  const { progress, ask, burn, account } = stage
  const { key, id, alias } = await makeKey(stage)
  progress(`keys: ${alias} of account ${account} is made, and shown this once`)
  const before = await ask(key)
  progress(`keys: LiteLLM answers it with ${before.status}`)

  let served = 0
  let shown = await keyOf(id, stage)
  for (let calls = 0; calls < CALLS_MAX && shown.isBlocked !== true; calls += 1) {
    if (burn(key, TOKENS_A_CALL) === 200) served += 1
    await sleep(CALL_EVERY_MS, undefined, { signal: stage.signal })
    shown = await keyOf(id, stage)
  }
  const [hold] = shown.holds
  progress(`keys: after ${served} calls it is blocked: ${hold?.text ?? 'and no hold says why'}`)
  const dry = await ask(key)
  progress(`keys: LiteLLM answers it with ${dry.status}: ${dry.message}`)

  await stage.deposit(DEPOSIT_FLOW)
  progress(`vault ${account}: ${DEPOSIT_FLOW} FLOW came in`)
  const unblocked = await until(async () => (await keyOf(id, stage)).isBlocked === false, stage)
  progress(`keys: ${unblocked ? 'no longer blocked' : 'STILL BLOCKED'}`)
  const isBack = await until(async () => (await ask(key)).status === 200, stage)
  progress(`keys: LiteLLM ${isBack ? 'answers it with 200 again' : 'STILL REFUSES IT'}`)
  return {
    key_did_not_work: verdict(before.status === 200),
    key_not_held_for_its_balance: verdict(hold?.reason === 'balance'),
    dry_key_not_refused: verdict(dry.status === 401),
    funded_key_still_blocked: verdict(unblocked),
    funded_key_still_refused: verdict(isBack),
  }
}

function verdict(isRight: boolean): string {
  return isRight ? '0' : '1'
}

async function makeKey({ daemonUrl, adminToken, account, user }: BudgetsStage) {
  const limits = { rpmLimit: null, tpmLimit: null, maxBudget: null }
  const wish = { account, name: 'demo', userId: user, ...limits, reason: 'the demo' }
  const answer = await fetch(`${daemonUrl}/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(wish),
  })
  if (answer.status !== 201) throw new Error(`no key was made: ${await answer.text()}`)
  return (await answer.json()) as ShownKey & { readonly key: string }
}

async function keyOf(id: string, { daemonUrl, adminToken }: BudgetsStage): Promise<ShownKey> {
  const headers = { authorization: `Bearer ${adminToken}` }
  const answer = await fetch(`${daemonUrl}/v1/keys/${id}`, { headers })
  if (answer.status !== 200) throw new Error(`the key cannot be seen: ${await answer.text()}`)
  return (await answer.json()) as ShownKey
}

/** Whether it came true in time. */
async function until(
  isTrue: () => Promise<boolean>,
  { signal }: Pick<BudgetsStage, 'signal'>,
): Promise<boolean> {
  const deadline = performance.now() + WAIT_MS_MAX
  while (performance.now() < deadline) {
    if (await isTrue()) return true
    await sleep(POLL_MS, undefined, { signal })
  }
  return false
}
