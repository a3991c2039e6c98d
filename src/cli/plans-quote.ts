import { Command } from 'commander'
import { assert } from '../domain/errors.js'
import { modelId, OTHER_MODEL } from '../domain/ids.js'
import { formatWad, wad } from '../domain/money.js'
import { addUsage, NO_USAGE, type Usage, type UsageTotal } from '../domain/usage-total.js'
import { tableWith, termsOf } from '../pricing/plan-draft.js'
import { billableOf, dueOf } from '../pricing/price.js'
import { type DeskParts, told } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'
import { findPlan, type NamedPlan } from './plan-reference.js'

interface ModelUsage {
  readonly model: string
  readonly usage: Usage
}

const BILLABLE_TO_WAD = 10n ** 14n
const TOKENS_END = 1n << 64n
const REQUESTS_END = 1n << 32n

export function quoteCommand({ print, ...parts }: Pick<CliParts, 'print'> & DeskParts): Command {
  return new Command('quote')
    .description('Say what a plan asks for the usage of a period')
    .argument('<plan>', 'a file, file#name, or the id of a published plan')
    .requiredOption(
      '--model <m=prompt,cached,completion,requests...>',
      'usage of a model, as the plan names it; cached tokens are part of the prompt',
      (text: string, all: readonly string[] = []) => [...all, text],
    )
    .option('--json', 'print one JSON object')
    .action(async (reference: string, options: QuoteOptions, command: Command) => {
      const usages = options.model.map((text) => usageOf(text, command))
      const plan = await findPlan(reference, parts, command)
      const { rows, others } = rowsOf(plan, usages)
      if (!rows.every(fits)) {
        const why = 'usage that is priced together is more than an entry can say'
        command.error(`error: ${why}`, { exitCode: 2 })
      }
      const terms = termsOf(plan.draft, tableOf(plan))
      const billable = billableOf(terms, rows)
      const price = dueOf(terms, rows)
      if (plan.id !== undefined) await checkWithContract(plan.id, rows, price, parts, command)
      const { currency } = terms
      const weighed = formatWad(wad(billable * BILLABLE_TO_WAD))
      if (options.json) {
        const amounts = { price: formatWad(price), priceWad: price, billableTokens: weighed }
        print(toJson({ plan: reference, currency, ...amounts, others }))
        return
      }
      print(`${formatWad(price)} ${currency} for ${weighed} billable tokens`)
      for (const model of others) print(`  ${model} is priced as any other model`)
      if (plan.id !== undefined) print('  The contract says the same.')
    })
}

interface QuoteOptions {
  readonly model: readonly string[]
  readonly json?: true
}

/** `gpt-4=1000,0,500,3`; what is left out at the end is 0, but for one request. */
function usageOf(text: string, command: Command): ModelUsage {
  const match = /^(.+)=(\d{1,20})(?:,(\d{1,20}))?(?:,(\d{1,20}))?(?:,(\d{1,10}))?$/.exec(text)
  if (match === null) {
    const shape = 'model=prompt,cached,completion,requests, such as gpt-4=1000,0,500,3'
    return command.error(`error: "${text}" is not ${shape}`, { exitCode: 2 })
  }
  const [, model = '', prompt = '0', cached = '0', completion = '0', requests = '1'] = match
  const usage = {
    promptTokens: BigInt(prompt),
    cachedPromptTokens: BigInt(cached),
    completionTokens: BigInt(completion),
    requests: BigInt(requests),
  }
  if (usage.cachedPromptTokens > usage.promptTokens) {
    command.error(`error: ${text}: cached tokens are part of the prompt`, { exitCode: 2 })
  }
  if (!fits(usage)) command.error(`error: ${text}: more than an entry can say`, { exitCode: 2 })
  return { model, usage }
}

function fits({ promptTokens, completionTokens, requests }: Usage): boolean {
  return promptTokens < TOKENS_END && completionTokens < TOKENS_END && requests < REQUESTS_END
}

/** A row for each model of the plan's, one for all others. */
function rowsOf(
  plan: NamedPlan,
  usages: readonly ModelUsage[],
): { readonly rows: readonly UsageTotal[]; readonly others: readonly string[] } {
  const table = tableOf(plan)
  const byId = new Map<number, Usage>()
  const others = new Set<string>()
  for (const { model, usage } of usages) {
    const isNamed = plan.draft.namedRates.has(model)
    if (!isNamed) others.add(model)
    const id = isNamed ? table.indexOf(model) + 1 : OTHER_MODEL
    byId.set(id, addUsage(byId.get(id) ?? NO_USAGE, usage))
  }
  const rows = [...byId]
    .toSorted(([a], [b]) => a - b)
    .map(([id, usage]) => ({ modelId: modelId(id), ...usage }))
  return { rows, others: [...others] }
}

function tableOf({ table, draft }: NamedPlan): readonly string[] {
  return table ?? tableWith([], draft.namedRates.keys())
}

async function checkWithContract(
  plan: bigint,
  rows: readonly UsageTotal[],
  price: bigint,
  { openPublicDesk }: Pick<DeskParts, 'openPublicDesk'>,
  command: Command,
): Promise<void> {
  const { desk, signal } = await openPublicDesk()
  const quote = await told(command, () => desk.quote(plan, rows, signal))
  if (quote === undefined) {
    command.error('error: no entry could say this usage: it has more than 32 models, or too much', {
      exitCode: 2,
    })
  }
  assert(quote.price === price, `the contract asks ${quote.price} wad, not ${price}: a bug here`)
}
