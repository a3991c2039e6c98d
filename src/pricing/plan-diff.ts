import { formatWad, wad } from '../domain/money.js'
import type { PlanDraft, Rate, Tier } from './plan.js'

/** One difference between two plans. An empty side: the plan does not have it. */
export interface PlanChange {
  /** `currency`, `tier 2`, `model gpt-4` */
  readonly part: string
  readonly before: string
  readonly after: string
}

const MICRO_TO_WAD = 10n ** 12n
const WEIGHT_TO_WAD = 10n ** 14n
const BPS_TO_PERCENT_WAD = 10n ** 16n

/** What is other in the second plan, in the order of a plan file. None: they price alike. */
export function diffPlans(before: PlanDraft, after: PlanDraft): PlanChange[] {
  const [old, now] = [partsOf(before), partsOf(after)]
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((part) => ({ part, before: old.get(part) ?? '', after: now.get(part) ?? '' }))
    .filter((change) => change.before !== change.after)
}

/** A plan line by line, for people. */
export function partsOf(plan: PlanDraft): ReadonlyMap<string, string> {
  return new Map([
    ['currency', plan.currency],
    ['mode', plan.mode],
    ['period', plan.periodKind],
    ['minimum', formatWad(plan.minimum)],
    ['fee', formatWad(plan.fee)],
    ['notice', `${plan.noticeS} s`],
    ...plan.tiers.map((tier, i) => [`tier ${i + 1}`, tierText(tier)] as const),
    ['other models', rateText(plan.defaultRate)],
    ...[...plan.namedRates].map(([name, rate]) => [`model ${name}`, rateText(rate)] as const),
  ])
}

function tierText({ upTo, pricePerMillion, discountBps }: Tier): string {
  const reach = upTo === null ? 'above' : `up to ${upTo} tokens`
  const price = `${formatWad(wad(pricePerMillion * MICRO_TO_WAD))} a million`
  const discount = `less ${formatWad(wad(discountBps * BPS_TO_PERCENT_WAD))} %`
  return discountBps === 0n ? `${reach}: ${price}` : `${reach}: ${price} ${discount}`
}

function rateText({ prompt, cachedPrompt, completion, request }: Rate): string {
  const isFlat = prompt === cachedPrompt && prompt === completion && request === 0n
  if (isFlat) return weightText(prompt)
  const weights = { prompt, 'cached prompt': cachedPrompt, completion, request }
  return Object.entries(weights)
    .map(([what, weight]) => `${what} ${weightText(weight)}`)
    .join(', ')
}

function weightText(weight: bigint): string {
  return formatWad(wad(weight * WEIGHT_TO_WAD))
}
