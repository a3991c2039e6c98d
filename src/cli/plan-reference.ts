import type { Command } from 'commander'
import type { PlanDraft } from '../pricing/plan.js'
import { draftOf } from '../pricing/plan-draft.js'
import { type DeskParts, told, wholeNumber } from './desk-parts.js'

/** A plan that was asked for, with its models by name. */
export interface NamedPlan {
  /** As it was asked for. */
  readonly name: string
  readonly draft: PlanDraft
  /** Of a published plan. */
  readonly id?: bigint
  /** The model table of its provider. */
  readonly table?: readonly string[]
}

/** Digits are a published plan's id; all else is `file` or, where it has several, `file#name`. */
export async function findPlan(
  reference: string,
  parts: Pick<DeskParts, 'readPlans' | 'openPublicDesk'>,
  command: Command,
): Promise<NamedPlan> {
  if (/^\d+$/.test(reference)) return findPublished(reference, parts, command)
  const [file = '', name = ''] = reference.split('#')
  const plans = await readValid(file, parts, command)
  const [only] = plans.values()
  const draft = name === '' && plans.size === 1 ? only : plans.get(name)
  if (draft !== undefined) return { name: reference, draft }
  const names = [...plans.keys()].map((one) => `${file}#${one}`).join('\n  ')
  const problem = name === '' ? 'which of its plans?' : `there is no plan "${name}" in it`
  return command.error(`error: ${file}: ${problem} Name one:\n  ${names}`, { exitCode: 2 })
}

/** All plans of a file. A wrong file is wrong usage: every problem is told. */
export async function readValid(
  file: string,
  { readPlans }: Pick<DeskParts, 'readPlans'>,
  command: Command,
): Promise<ReadonlyMap<string, PlanDraft>> {
  const parsed = await readPlans(file)
  if (parsed.ok) return parsed.plans
  const problems = parsed.problems.map((problem) => `  - ${problem}`).join('\n')
  return command.error(`error: ${file} is no plan that could be published:\n${problems}`, {
    exitCode: 2,
  })
}

async function findPublished(
  reference: string,
  { openPublicDesk }: Pick<DeskParts, 'openPublicDesk'>,
  command: Command,
): Promise<NamedPlan> {
  const id = wholeNumber(reference, command)
  const { desk, signal } = await openPublicDesk()
  return told(command, async () => {
    const plan = await desk.plan(id, signal)
    if (plan === undefined) command.error(`error: there is no plan ${id}`, { exitCode: 2 })
    const table = await desk.models(plan.provider, signal)
    return { name: `plan ${id}`, id, table, draft: draftOf(plan.terms, table) }
  })
}
