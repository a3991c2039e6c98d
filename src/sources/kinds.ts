/**
 * The kinds of sources, one line each: `docs/adding-an-adapter.md` adds one. A kind is a
 * `SourceKind` (it is read) or a `ReceiverKind` (it sends), with its zod schema as `config`.
 */

export { groupedUsage } from './grouped-usage/kind.js'
export { litellm } from './litellm/kind.js'
export { litellmPostgres } from './litellm/postgres-kind.js'
export { usageEvents } from './usage-events/kind.js'
