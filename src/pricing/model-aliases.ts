import { z } from 'zod'

/** From LiteLLM's model name to the name in the provider's table; a `*` at the end is any rest. */
export const modelAliases = z.record(z.string().min(1), z.string().min(1))
export type ModelAliases = z.infer<typeof modelAliases>

/** The plan's name of a model: an exact alias first, then the longest prefix, else its own. */
export function planModel(aliases: ModelAliases, model: string): string {
  const exact = aliases[model]
  if (exact !== undefined && Object.hasOwn(aliases, model)) return exact
  const [longest] = Object.keys(aliases)
    .filter((alias) => alias.endsWith('*') && model.startsWith(alias.slice(0, -1)))
    .sort((a, b) => b.length - a.length)
  return longest === undefined ? model : (aliases[longest] ?? model)
}
