import { percent } from '../domain/share.js'
import { addUsage, NO_USAGE, type Usage } from '../domain/usage-total.js'
import { columnsOf, type Findings, type ReportQuestion, ROWS_MAX, type Row } from './report.js'
import { type ReportStores, readUsage, type Terms, tokensOf } from './usage.js'

const COLUMNS = columnsOf({
  account: 'the vault',
  model: 'as the source calls it',
  plan_model: 'the name under which the plan prices it; other: the plan’s rate for all others',
  payers: 'how many different ones used it',
  requests: 'calls',
  prompt_tokens: 'tokens, the cached ones among them',
  cached_prompt_tokens: 'tokens',
  completion_tokens: 'tokens',
  share_percent: 'of the tokens of this vault',
})

/** Which models each vault prefers. */
export async function modelPreferences(
  stores: ReportStores,
  terms: Terms,
  question: ReportQuestion,
  signal: AbortSignal,
): Promise<Findings> {
  const found = new Map<string, Found>()
  const wholes = new Map<bigint, bigint>()
  await readUsage(stores, question, question, signal, (cell) => {
    const { account, model, modelId } = cell
    const name = JSON.stringify([`${account}`, modelId, model])
    const one = found.get(name) ?? { account, model, modelId, usage: NO_USAGE, payers: new Set() }
    one.usage = addUsage(one.usage, cell)
    one.payers.add(cell.payer)
    found.set(name, one)
    wholes.set(account, (wholes.get(account) ?? 0n) + tokensOf(cell))
  })
  const rows = [...found.values()].sort(byAccountThenTokens).map(
    ({ account, model, modelId, usage, payers }): Row => ({
      account: account.toString(),
      model,
      plan_model: terms.modelName(modelId),
      payers: payers.size,
      requests: usage.requests,
      prompt_tokens: usage.promptTokens,
      cached_prompt_tokens: usage.cachedPromptTokens,
      completion_tokens: usage.completionTokens,
      share_percent: percent(tokensOf(usage), wholes.get(account) ?? 0n) ?? null,
    }),
  )
  return {
    columns: COLUMNS,
    rows: rows.slice(0, ROWS_MAX),
    notes: [],
    isCut: rows.length > ROWS_MAX,
  }
}

interface Found {
  readonly account: bigint
  readonly model: string
  readonly modelId: number
  usage: Usage
  readonly payers: Set<string>
}

function byAccountThenTokens(a: Found, b: Found): number {
  if (a.account !== b.account) return a.account < b.account ? -1 : 1
  const [first, second] = [tokensOf(a.usage), tokensOf(b.usage)]
  return first === second ? 0 : first < second ? 1 : -1
}
