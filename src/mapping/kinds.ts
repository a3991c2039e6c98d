/**
 * The kinds of strategies, one line each: `docs/adding-an-adapter.md` adds one. A kind is a
 * `StrategyKind`: its settings, and how it is made of them.
 */

export { module, sql } from './answers.js'
export { direct } from './direct.js'
export { directory } from './directory.js'
export { hash } from './hash.js'
export { legacyHash } from './legacy-hash.js'
export { prefix } from './prefix.js'
