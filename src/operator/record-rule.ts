import { resolve } from 'node:path'
import { keccak, utf8 } from '../domain/bytes.js'
import type { UsageRecord } from '../domain/usage-record.js'
import type { RecordRule } from '../ports/record-rule.js'
import { OperatorFunction } from '../runtime/operator-function.js'
import { ThreadError } from '../runtime/thread.js'
import type { AggregationConfig } from './config.js'
import { decisionFrom } from './parse.js'

/** The module's `decide(record)`, which gets a copy: plain data, token counts as numbers. */
export function recordRule(
  { path, timeoutMs }: AggregationConfig,
  folder: string,
): RecordRule & { close(): Promise<void> } {
  const decide = new OperatorFunction({
    file: resolve(folder, path),
    exportName: 'decide',
    timeoutMs,
  })
  return {
    version: keccak(utf8(decide.source)),
    async decide(record, signal) {
      try {
        return decisionFrom(await decide.call(shownOf(record), signal), record)
      } catch (error) {
        if (!(error instanceof ThreadError)) throw error
        return { verdict: 'hold', reason: error.message }
      }
    },
    close: () => decide.close(),
  }
}

function shownOf({ key, payers, ...record }: UsageRecord) {
  return {
    source: key.source,
    requestId: key.requestId,
    startedAt: new Date(record.startedAtMs).toISOString(),
    endedAt: new Date(record.endedAtMs).toISOString(),
    user: payers.user,
    apiKey: payers.api_key,
    teamId: payers.team_id,
    endUser: payers.end_user,
    model: record.model,
    promptTokens: Number(record.promptTokens),
    cachedPromptTokens: Number(record.cachedPromptTokens),
    completionTokens: Number(record.completionTokens),
  }
}
