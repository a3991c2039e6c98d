import { z } from 'zod'
import { parseWad, wad } from '../../domain/money.js'
import { PERIOD_KINDS } from '../../domain/period.js'
import type { PlanDraft, Rate, Tier } from '../../pricing/plan.js'

/**
 * Price plans as people write them: amounts and weights as decimal text, models by name. What is
 * accepted is what PricePlans.cdc accepts when a plan is published, no more; and of texts only
 * those about whose length and equality Cadence and JavaScript cannot disagree.
 */

/** A file's plans; by name where it has several, else under ''. */
export type PlanFile =
  | { readonly ok: true; readonly plans: ReadonlyMap<string, PlanDraft> }
  | { readonly ok: false; readonly problems: readonly string[] }

const TIERS_MAX = 16
const NOTICE_S_MAX = 604_800
const NOTICE_S_DEFAULT = 86_400
const BPS_MAX = 10_000
const MODEL_ID_MAX = 65_535
const MODEL_NAME_MAX = 256

/** Decimal text as an integer of its last place: `1.5` with 4 places is 15000. */
const decimal = (places: number, below: bigint, what: string) =>
  z
    .string('expected decimal text in quotes, such as "1.5"')
    .regex(new RegExp(`^\\d{1,40}(\\.\\d{1,${places}})?$`), {
      error: `expected decimal text with at most ${places} places, such as "1.5"`,
      abort: true,
    })
    .transform((text) => parseWad(text) / 10n ** BigInt(18 - places))
    .refine((value) => value < below, { error: `${what} is too large` })

const money = decimal(18, 1n << 112n, 'an amount of 2^112 wad or more').transform(wad)
const price = decimal(6, 1n << 48n, 'a price of 2^48 millionths or more')
const weight = decimal(4, 1n << 32n, 'a weight of 2^32 ten-thousandths or more')
/** Exact in six places when two of them are multiplied. */
const factor = decimal(3, 1n << 32n, 'a factor')
const tokens = z
  .string('expected a number of tokens in quotes, such as "100000"')
  .regex(/^\d{1,20}$/, { error: 'expected a number of tokens, such as "100000"', abort: true })
  .transform(BigInt)
  .refine((count) => count > 0n && count < (1n << 64n) - 1n, {
    error: 'a tier ends at a token from 1 to 2^64 - 2',
  })

const currency = z.string().regex(/^[!-~]{1,16}$/, 'expected 1 to 16 ASCII characters, no spaces')
const model = z
  .string()
  .refine((name) => name !== '' && Buffer.byteLength(name) <= MODEL_NAME_MAX, {
    error: `a model name has 1 to ${MODEL_NAME_MAX} bytes`,
  })
  .refine((name) => name === name.normalize('NFC'), { error: 'a model name is written in NFC' })

const noticeSeconds = z
  .int()
  .min(0)
  .max(NOTICE_S_MAX, 'a notice is at most 604800 seconds, 7 days')
  .default(NOTICE_S_DEFAULT)

const tier = z
  .strictObject({
    /** For people. */
    name: z.string().optional(),
    /** The last billable token; absent in the last tier. */
    upTo: tokens.optional(),
    /** Of a million billable tokens. */
    pricePerMillion: price,
    discountBps: z.int().min(0).max(BPS_MAX, 'a discount is at most 10000').default(0),
  })
  .transform(
    ({ upTo = null, pricePerMillion, discountBps }): Tier => ({
      upTo,
      pricePerMillion,
      discountBps: BigInt(discountBps),
    }),
  )

const weights = z
  .strictObject({
    prompt: weight,
    /** Absent: as prompt. */
    cachedPrompt: weight.optional(),
    completion: weight,
    request: weight.default(0n),
  })
  .transform(
    ({ cachedPrompt, ...rate }): Rate => ({
      ...rate,
      cachedPrompt: cachedPrompt ?? rate.prompt,
    }),
  )

/** One weight: of every token. */
const rate = z.union([weight.transform(flatRate), weights], {
  error: 'expected a weight such as "1.5", or prompt, cachedPrompt, completion and request',
})

const described = {
  /** For people; they are not published. */
  name: z.string().optional(),
  description: z.string().optional(),
  currency,
  period: z.enum(PERIOD_KINDS, 'expected day, week or month'),
  noticeSeconds,
}

const ownModels = <Named extends { readonly model: string }>(named: z.ZodType<Named>) =>
  z
    .array(named)
    .max(MODEL_ID_MAX)
    .refine((models) => new Set(models.map((one) => one.model)).size === models.length, {
      error: 'a model is named twice',
    })
    .default([])

const plainFile = z
  .strictObject({
    format: z.literal('flowmeter.plan.v1'),
    ...described,
    mode: z.enum(['graduated', 'volume'], 'expected graduated or volume').default('graduated'),
    minimum: money.default(wad(0n)),
    fee: money.default(wad(0n)),
    tiers: z
      .array(tier)
      .min(1, 'a plan has 1 to 16 tiers')
      .max(TIERS_MAX, 'a plan has 1 to 16 tiers')
      .superRefine(checkTiers),
    /** Of all models that are not named below. */
    otherModels: rate,
    models: ownModels(z.strictObject({ model, rate })),
  })
  .transform((file): ReadonlyMap<string, PlanDraft> => {
    const { currency, mode, period, minimum, fee, noticeSeconds, tiers } = file
    const namedRates = new Map(file.models.map((one) => [one.model, one.rate]))
    const draft: PlanDraft = {
      ...{ currency, mode, periodKind: period, minimum, fee, noticeS: noticeSeconds, tiers },
      defaultRate: file.otherModels,
      namedRates,
    }
    return new Map([['', draft]])
  })

const factors = z
  .record(z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected a name such as starter'), factor)
  .refine((named) => Object.keys(named).length > 0, { error: 'at least one is needed' })

/** Per million tokens of the class, in the plan's currency. */
const costs = z
  .strictObject({
    prompt: weight,
    cachedPrompt: weight.optional(),
    completion: weight,
  })
  .transform(
    ({ prompt, cachedPrompt, completion }): Rate => ({
      prompt,
      cachedPrompt: cachedPrompt ?? prompt,
      completion,
      request: 0n,
    }),
  )

/**
 * A plan for each markup and power level. The weights are the models' own prices, so a billable
 * token is what costs 1 of the currency a million at the model's vendor; the one tier asks markup x
 * power level for it. Nothing is rounded.
 */
const costPlusFile = z
  .strictObject({
    format: z.literal('flowmeter.cost-plus.v1'),
    ...described,
    minimum: money.default(wad(0n)),
    fee: money.default(wad(0n)),
    markups: factors,
    powerLevels: factors,
    otherModels: costs,
    models: ownModels(z.strictObject({ model, cost: costs })),
  })
  .superRefine((file, context) => {
    for (const [path, pricePerMillion] of combinations(file)) {
      if (pricePerMillion < 1n << 48n) continue
      context.addIssue({ code: 'custom', path: ['markups'], message: `${path} is too large` })
    }
  })
  .transform((file): ReadonlyMap<string, PlanDraft> => {
    const { currency, period, noticeSeconds, minimum, fee } = file
    const terms = { currency, mode: 'graduated' as const, periodKind: period, minimum, fee }
    const namedRates = new Map(file.models.map((one) => [one.model, one.cost]))
    return new Map(
      combinations(file).map(([name, pricePerMillion]): [string, PlanDraft] => [
        name,
        {
          ...terms,
          noticeS: noticeSeconds,
          tiers: [{ upTo: null, pricePerMillion, discountBps: 0n }],
          defaultRate: file.otherModels,
          namedRates,
        },
      ]),
    )
  })

const planFile = z.discriminatedUnion('format', [plainFile, costPlusFile], {
  error: 'expected "format": "flowmeter.plan.v1" or "flowmeter.cost-plus.v1"',
})

/** Reads a plan file's JSON. Every problem is told, with its place in the file. */
export function parsePlanFile(json: unknown): PlanFile {
  const parsed = planFile.safeParse(json)
  if (parsed.success) return { ok: true, plans: parsed.data }
  const problems = parsed.error.issues.map(({ path, message }) => {
    const place = path.map(String).join('.')
    return place === '' ? message : `${place}: ${message}`
  })
  return { ok: false, problems }
}

function checkTiers(tiers: readonly Tier[], context: z.core.$RefinementCtx<Tier[]>): void {
  for (const [i, { upTo }] of tiers.entries()) {
    const problem = (message: string): void =>
      context.addIssue({ code: 'custom', path: [i, 'upTo'], message })
    const isLast = i === tiers.length - 1
    if (isLast && upTo !== null) problem('the last tier has no end: leave it out')
    if (!isLast && upTo === null) problem('only the last tier has no end')
    const before = tiers[i - 1]?.upTo ?? 0n
    if (upTo !== null && upTo <= before) problem('a tier ends above the one before')
  }
}

function combinations(file: {
  readonly markups: Readonly<Record<string, bigint>>
  readonly powerLevels: Readonly<Record<string, bigint>>
}): [name: string, pricePerMillion: bigint][] {
  return Object.entries(file.markups).flatMap(([markup, a]) =>
    Object.entries(file.powerLevels).map(([level, b]): [string, bigint] => [
      `${markup}/${level}`,
      a * b,
    ]),
  )
}

function flatRate(all: bigint): Rate {
  return { prompt: all, cachedPrompt: all, completion: all, request: 0n }
}
