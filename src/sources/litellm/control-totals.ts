import { z } from 'zod'
import { RetryableError } from '../../domain/errors.js'
import type { ControlTotals, DailyUsage } from '../../ports/control-totals.js'
import { HttpClient } from '../../runtime/http-client.js'
import type { LitellmConfig } from './config.js'
import { refusalOf } from './refusal.js'

const count = z.int().nonnegative()
const metrics = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  api_requests: count,
})
const byKey = z.record(z.string(), z.object({ metrics }))
const activity = z.object({
  results: z.array(
    z.object({
      date: z.string(),
      breakdown: z.object({
        // Releases before it was added have none: then every model counts as unnamed.
        model_groups: z
          .record(z.string(), z.object({ api_key_breakdown: byKey.nullish() }))
          .nullish(),
        api_keys: byKey,
      }),
    }),
  ),
})

type Breakdown = z.infer<typeof activity>['results'][number]['breakdown']
type Counters = Omit<DailyUsage, 'apiKey' | 'model'>

/**
 * LiteLLM's own daily sums, `GET /user/daily/activity/aggregated`: written beside the rows, with
 * failures and cache hits, and also for calls whose row LiteLLM has lost.
 */
export function litellmControlTotals(
  { name, apiUrl, requestTimeoutMs, responseBytesMax }: LitellmConfig,
  apiKey: string,
): ControlTotals {
  const http = new HttpClient({
    baseUrl: apiUrl.replace(/\/+$/, ''),
    codePrefix: 'source',
    timeoutMs: requestTimeoutMs,
    responseBytesMax,
    headers: { authorization: `Bearer ${apiKey}` },
  })
  return {
    name,
    async dailyUsage(day, signal) {
      // Without `timezone`: releases before mid 2026 count twice with it.
      const query = { start_date: day, end_date: day }
      const path = '/user/daily/activity/aggregated'
      const answer = await http.request({ path, query }, signal)
      if (answer.status !== 200) throw refusalOf(answer.status, answer.text)
      const parsed = activity.safeParse(answer.json())
      if (!parsed.success) {
        const places = parsed.error.issues.map(({ path: at }) => at.slice(0, 3).join('.'))
        const what = `LiteLLM's daily sums do not have the known shape: ${places.slice(0, 3)}`
        throw new RetryableError('source_nonsense', what)
      }
      const { results } = parsed.data
      return results
        .filter(({ date }) => date === day)
        .flatMap(({ breakdown }) => usageOf(breakdown))
    },
  }
}

/** By key and public model name; the rest of each key under an empty name. */
function usageOf({ model_groups, api_keys }: Breakdown): DailyUsage[] {
  const usages: DailyUsage[] = []
  const rest = new Map(Object.entries(api_keys).map(([key, one]) => [key, countersOf(one.metrics)]))
  for (const [model, { api_key_breakdown }] of Object.entries(model_groups ?? {})) {
    if (model === '') continue
    for (const [apiKey, one] of Object.entries(api_key_breakdown ?? {})) {
      const counters = countersOf(one.metrics)
      usages.push({ apiKey, model, ...counters })
      rest.set(apiKey, less(rest.get(apiKey), counters))
    }
  }
  for (const [apiKey, counters] of rest) {
    const isNone = Object.values(counters).every((value) => value === 0n)
    if (!isNone) usages.push({ apiKey, model: '', ...counters })
  }
  return usages
}

function countersOf(one: z.infer<typeof metrics>): Counters {
  return {
    requests: BigInt(one.api_requests),
    promptTokens: BigInt(one.prompt_tokens),
    completionTokens: BigInt(one.completion_tokens),
  }
}

function less(a: Counters | undefined, b: Counters): Counters {
  return {
    requests: (a?.requests ?? 0n) - b.requests,
    promptTokens: (a?.promptTokens ?? 0n) - b.promptTokens,
    completionTokens: (a?.completionTokens ?? 0n) - b.completionTokens,
  }
}
