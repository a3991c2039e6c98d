/** Names by which gateways mean every model that there is. */
const EVERY_MODEL: readonly string[] = ['*', 'all-proxy-models', 'all-team-models']

/**
 * Whether a key with these models may open one for which clients bring their own provider's key.
 *
 * @param models of the key; none: every model. `*` may end a name, as in a pattern
 */
export function mayOpenByok(models: readonly string[], patterns: readonly string[]): boolean {
  if (patterns.length === 0) return false
  if (models.length === 0) return true
  return models.some(
    (model) => EVERY_MODEL.includes(model) || patterns.some((pattern) => meet(model, pattern)),
  )
}

/** Whether some name is meant by both. */
function meet(a: string, b: string): boolean {
  const [start, other] = [startOf(a), startOf(b)]
  if (start === undefined) return other === undefined ? a === b : a.startsWith(other)
  if (other === undefined) return b.startsWith(start)
  return start.startsWith(other) || other.startsWith(start)
}

function startOf(pattern: string): string | undefined {
  return pattern.endsWith('*') ? pattern.slice(0, -1) : undefined
}
