import type { MappingStrategy } from './strategy.js'

/** A query on the operator's database says it: its answers are a table that a worker keeps. */
export function sqlStrategy(name: string): MappingStrategy {
  return {
    name: `sql/${name}`,
    map: (payer, { answers }) => {
      const table = answers?.get(name)
      // Another rule must not answer for a table that may have the payer.
      if (table?.isRead !== true) return { reason: 'was not read yet', isFinal: true }
      return table.byPayer.get(payer) ?? { reason: 'the query has no row of it' }
    },
  }
}

/** A function of the operator says it: a worker asks it, and its answers are kept. */
export function moduleStrategy(name: string): MappingStrategy {
  return {
    name: `module/${name}`,
    map: (payer, { answers }) =>
      answers?.get(name)?.byPayer.get(payer) ?? { reason: 'was not asked yet', isFinal: true },
  }
}
