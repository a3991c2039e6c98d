import type { Litellm } from './litellm/index.js'

const MODELS = ['gpt-4o', 'gpt-3.5-turbo', 'claude-3-haiku', 'claude-sonnet-4'] as const
const CALLS_EACH = 6

/**
 * A few calls more for each user, served just now. Long ones, so that a vault of the local network
 * crosses a tier and another runs dry.
 */
export function callAgain(litellm: Litellm, users: readonly string[]): void {
  const nowMs = litellm.nowMs()
  const startOf = (i: number): number => Math.max(monthStart(nowMs), nowMs - 60_000 + i * 1_000)
  litellm.insertRows(
    users.flatMap((user, place) =>
      Array.from({ length: CALLS_EACH }, (_, i) => ({
        user,
        startedAtMs: startOf(i),
        durationMs: 500,
        writeLagMs: 400,
        promptTokens: 9_000 + 137 * i + 11 * place,
        completionTokens: 2_000 + 61 * i,
        modelGroup: MODELS[(i + place) % MODELS.length] ?? 'gpt-4o',
      })),
    ),
  )
}

function monthStart(ms: number): number {
  const date = new Date(ms)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
