import type { MappingStrategy } from './strategy.js'

/** The operator's own table says it. */
export function directoryStrategy(): MappingStrategy {
  return {
    name: 'directory',
    map: (payer, { directory }) => {
      const account = directory.get(payer)
      return account === undefined ? { reason: 'is not in the directory' } : { account }
    },
  }
}
