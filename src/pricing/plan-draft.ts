import { assert } from '../domain/errors.js'
import { OTHER_MODEL } from '../domain/ids.js'
import type { PlanDraft, PlanTerms, Rate } from './plan.js'

/** A provider's model table after the names were registered: those that are there keep their id. */
export function tableWith(table: readonly string[], names: Iterable<string>): readonly string[] {
  return [...new Set([...table, ...names])]
}

/** Models of a plan that a provider's table has not, so that the plan cannot be published yet. */
export function unregisteredModels({ namedRates }: PlanDraft, table: readonly string[]): string[] {
  return [...namedRates.keys()].filter((name) => !table.includes(name))
}

/** The plan as it would be published by the provider of a model table (the first name has id 1). */
export function termsOf(draft: PlanDraft, table: readonly string[]): PlanTerms {
  const { defaultRate, namedRates, ...terms } = draft
  const rates = new Map<number, Rate>([[OTHER_MODEL, defaultRate]])
  for (const [name, rate] of namedRates) rates.set(idIn(table, name), rate)
  return { ...terms, rates: new Map([...rates].toSorted(([a], [b]) => a - b)) }
}

/** A published plan with its models by name again, to be read and compared by people. */
export function draftOf(terms: PlanTerms, table: readonly string[]): PlanDraft {
  const { rates, ...rest } = terms
  const defaultRate = rates.get(OTHER_MODEL)
  assert(defaultRate !== undefined, 'a plan has a rate for model 0')
  const named = [...rates].filter(([id]) => id !== OTHER_MODEL)
  const namedRates = new Map(named.map(([id, rate]) => [table[id - 1] ?? `model ${id}`, rate]))
  return { ...rest, defaultRate, namedRates }
}

function idIn(table: readonly string[], name: string): number {
  const index = table.indexOf(name)
  assert(index >= 0, `model ${name} is not in the provider's table`)
  return index + 1
}
