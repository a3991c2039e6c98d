import type { Brand } from './ids.js'

/** 1e-6 of a US dollar, which is the money of gateways. */
export type Microdollars = Brand<bigint, 'Microdollars'>

/** What one key may do at its gateway. Null: no limit. */
export interface KeyLimits {
  /** A brake beside the vault, by the gateway's own price list. */
  readonly maxBudget: Microdollars | null
  /** After which what was spent counts from 0 again, such as `30d`; null: never. */
  readonly budgetDuration: string | null
  /** Requests a minute. */
  readonly rpmLimit: number | null
  /** Tokens a minute. */
  readonly tpmLimit: number | null
  /** Models by the names that clients use; none named: every model. */
  readonly models: readonly string[]
}

const DECIMALS = 6
/** A billion dollars: below it every microdollar has a float of its own, which gateways keep. */
export const BUDGET_MAX = (10n ** 15n) as Microdollars
/** Of requests or tokens a minute. */
export const RATE_MAX = 1_000_000_000
export const MODELS_MAX = 100
const MODEL_CHARACTERS_MAX = 200

export const microdollars = (value: bigint): Microdollars => value as Microdollars

/** `12.5` as 12500000; undefined for what is no such amount. */
export function parseDollars(text: string): Microdollars | undefined {
  const match = /^(\d{1,10})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) return undefined
  const value = BigInt(`${match[1]}${(match[2] ?? '').padEnd(DECIMALS, '0')}`)
  return value <= BUDGET_MAX ? microdollars(value) : undefined
}

/** `12.5` of 12500000. Exact. */
export function formatDollars(value: Microdollars): string {
  const text = value.toString().padStart(DECIMALS + 1, '0')
  const fraction = text.slice(-DECIMALS).replace(/0+$/, '')
  return `${text.slice(0, -DECIMALS)}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * Seconds of `90s`, `12h`, `30d` and `1mo`, which counts as 30 days. Undefined for others, and for more
 * than a day in other units than days: LiteLLM takes of such a time what is left after whole days, so
 * that a budget for 720h would start anew at every midnight. It fails at more months than one.
 */
export function durationSeconds(text: string): number | undefined {
  if (text === '1mo') return DAYS_OF_MONTH * DAY_S
  const [, count, unit = ''] = /^([1-9]\d{0,4})(s|m|h|d)$/.exec(text) ?? []
  const seconds = Number(count) * (SECONDS_OF[unit] ?? 0)
  return seconds <= (unit === 'd' ? DURATION_DAYS_MAX * DAY_S : DAY_S) ? seconds : undefined
}

const DAY_S = 86_400
const DAYS_OF_MONTH = 30
const DURATION_DAYS_MAX = 3_660
const SECONDS_OF: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: DAY_S }

/** What is wrong with limits that somebody wrote, in words for them; undefined for nothing. */
export function limitsProblem(limits: KeyLimits): string | undefined {
  const { maxBudget, budgetDuration, rpmLimit, tpmLimit, models } = limits
  if (maxBudget !== null && (maxBudget < 0n || maxBudget > BUDGET_MAX)) {
    return `a budget goes from 0 to ${formatDollars(BUDGET_MAX)} dollars`
  }
  if (budgetDuration !== null && durationSeconds(budgetDuration) === undefined) {
    return 'a budget lasts up to 24h, a number of days such as 30d, or 1mo'
  }
  for (const rate of [rpmLimit, tpmLimit]) {
    if (rate === null || (Number.isInteger(rate) && rate >= 0 && rate <= RATE_MAX)) continue
    return `a rate is a whole number a minute, up to ${RATE_MAX}`
  }
  const isName = (model: string) => /^[\x21-\x7e]+$/.test(model)
  if (models.length > MODELS_MAX) return `name at most ${MODELS_MAX} models`
  if (new Set(models).size < models.length) return 'a model is named twice'
  return models.every((model) => isName(model) && model.length <= MODEL_CHARACTERS_MAX)
    ? undefined
    : 'models have names without spaces'
}

/**
 * In what limits go beyond a ceiling, in words for whoever asked; undefined: in nothing. No limit
 * is beyond every limit, and so is a budget that starts again sooner.
 */
export function beyondCeiling(limits: KeyLimits, ceiling: KeyLimits): string | undefined {
  const { maxBudget, rpmLimit, tpmLimit, models } = limits
  if (isAbove(maxBudget, ceiling.maxBudget)) return `max_budget is at most ${shown(ceiling)}`
  if (ceiling.maxBudget !== null && isSooner(limits.budgetDuration, ceiling.budgetDuration)) {
    return `budget_duration is at least ${ceiling.budgetDuration}`
  }
  if (isAbove(rpmLimit, ceiling.rpmLimit)) return `rpm_limit is at most ${ceiling.rpmLimit}`
  if (isAbove(tpmLimit, ceiling.tpmLimit)) return `tpm_limit is at most ${ceiling.tpmLimit}`
  if (ceiling.models.length === 0) return undefined
  const isWithin = models.length > 0 && models.every((model) => ceiling.models.includes(model))
  return isWithin ? undefined : `models are among ${ceiling.models.join(', ')}`
}

function isAbove(limit: bigint | number | null, ceiling: bigint | number | null): boolean {
  return ceiling !== null && (limit === null || limit > ceiling)
}

function isSooner(duration: string | null, ceiling: string | null): boolean {
  if (duration === null || duration === ceiling) return false
  if (ceiling === null) return true
  // An adopted key may have what is no time here, such as `1w`: nobody is said to stay within it.
  return (durationSeconds(duration) ?? 0) < (durationSeconds(ceiling) ?? Number.POSITIVE_INFINITY)
}

function shown({ maxBudget }: KeyLimits): string {
  return maxBudget === null ? 'none' : formatDollars(maxBudget)
}

/** One line for logs: `10 per 30d, 100 rpm, 10000 tpm, any model`. */
export function limitsText({ maxBudget, budgetDuration, ...rest }: KeyLimits): string {
  const budget = maxBudget === null ? 'no budget' : `$${formatDollars(maxBudget)}`
  const per = budgetDuration === null ? '' : ` per ${budgetDuration}`
  const rpm = `${rest.rpmLimit ?? 'no limit of'} rpm`
  const tpm = `${rest.tpmLimit ?? 'no limit of'} tpm`
  const models = rest.models.length === 0 ? 'any model' : rest.models.join(' ')
  return `${budget}${per}, ${rpm}, ${tpm}, ${models}`
}
