import { Bell } from '../runtime/bell.js'
import type { Logger } from '../runtime/log.js'
import type { Worker } from '../runtime/worker.js'
import { type BudgetsParts, type BudgetsPass, budgetsNext } from './budgets.js'

/** Looks at accounts as often as the settings say. A line in the log for every block, and its end. */
export function budgetWorker(parts: Omit<BudgetsParts, 'onMoves'>, log: Logger): Worker {
  const pass: BudgetsPass = {}
  const onMoves: BudgetsParts['onMoves'] = (account, { placed, lifted }) => {
    const about = { account: account.toString() }
    for (const { reason, key, text } of placed) log.info({ ...about, reason, key, text }, 'blocked')
    for (const { reason, key } of lifted) log.info({ ...about, reason, key }, 'no longer blocked')
  }
  return {
    name: 'budgets',
    step: (signal) => budgetsNext({ ...parts, onMoves }, pass, signal),
    idleMs: parts.settings.delays.lookMs,
    bell: new Bell(),
  }
}
