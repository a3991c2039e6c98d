import { modelId } from '../../src/domain/ids.js'
import type { UsageTotal } from '../../src/domain/usage-total.js'
import type { RowVector } from './vectors.js'

export function rowOf(row: RowVector): UsageTotal {
  return {
    modelId: modelId(row.modelId),
    promptTokens: BigInt(row.promptTokens),
    cachedPromptTokens: BigInt(row.cachedPromptTokens),
    completionTokens: BigInt(row.completionTokens),
    requests: BigInt(row.requests),
  }
}
