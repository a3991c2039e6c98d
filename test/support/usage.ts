import type { UsageRecord } from '../../src/domain/usage-record.js'

/** An evening of September 2026. */
export const EVENING_MS = Date.parse('2026-09-24T20:00:00Z')
export const SEPTEMBER_S = Date.parse('2026-09-01T00:00:00Z') / 1000
export const OCTOBER_S = Date.parse('2026-10-01T00:00:00Z') / 1000

type Changes = Partial<Omit<UsageRecord, 'key' | 'payers'>> & {
  readonly source?: string
  readonly user?: string
}

/** A usage record that only says what a test is about. */
export function usageRecord(requestId: string, changes: Changes = {}): UsageRecord {
  const { source = 'main', user = 'alice', ...rest } = changes
  return {
    key: { source, requestId },
    startedAtMs: EVENING_MS,
    endedAtMs: EVENING_MS + 900,
    payers: { user, api_key: `key of ${user}`, team_id: '', end_user: '' },
    model: 'gpt-4',
    promptTokens: 100n,
    cachedPromptTokens: 20n,
    completionTokens: 50n,
    spend: '0.01',
    ...rest,
  }
}
