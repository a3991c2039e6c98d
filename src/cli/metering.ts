import { existsSync } from 'node:fs'
import { type Config, loadAttributionConfig, loadConfig } from '../config.js'
import { ConfigError, RetryableError } from '../domain/errors.js'
import { accountNumber } from '../domain/ids.js'
import { payerFieldOf } from '../mapping/index.js'
import type { DirectoryAnswers, MappingData } from '../mapping/strategy.js'
import { createDirectories, createRecordRule } from '../operator/index.js'
import { type AttributeSettings, attribute, mapPayers } from '../pipeline/attribute.js'
import { attributionSettings } from '../pipeline/attribution-settings.js'
import { backfillRange, previewBackfill, runBackfill } from '../pipeline/backfill.js'
import {
  closedDays,
  compareDay,
  DAY_MS,
  DAYS_COMPARED,
  dayText,
} from '../pipeline/control-totals.js'
import { previewCorrection } from '../pipeline/correct.js'
import { Estimates } from '../pipeline/estimate.js'
import {
  callOf,
  type RecordedCorrection,
  recordRemapping,
  recordWaiver,
} from '../pipeline/record-correction.js'
import type { WaitingUsage } from '../ports/payers.js'
import type { Verdict } from '../ports/set-asides.js'
import type { SourceState, Store } from '../ports/stores.js'
import { systemClock as clock } from '../runtime/clock.js'
import {
  createControlTotals,
  createSource,
  fixOfSource,
  isRead,
  type SourceConfig,
} from '../sources/index.js'
import type {
  AuditedDay,
  BackfillOptions,
  BackfillOutcome,
  DayRange,
  Explained,
  MapAll,
  MeteringTools,
} from './metering-tools.js'
import { withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

/** What a person looks up at once; a preview of years is asked for in parts. */
const DAYS_AUDITED_MAX = 366

export function meteringTools(
  env: Environment,
  folder: string,
  signal: AbortSignal,
): MeteringTools {
  const withStored = async <Result>(
    work: (store: Store, settings: AttributeSettings) => Promise<Result>,
  ): Promise<Result> => {
    const config = loadAttributionConfig(env, folder)
    const rule = await createRecordRule(config.aggregation, folder)
    const settings = attributionSettings(config, rule?.version)
    return withStore(config.databaseUrl, (store) => work(store, settings))
  }
  return {
    explain: (user, source) => explain(user, source, env, folder, signal),
    mapAll: () => withStored(mapAll),
    listUnmapped: () =>
      withStored(async (store, settings) =>
        (await waitingUsage(store, settings)).filter(({ reason }) => reason !== undefined),
      ),
    release: (payer, source, to) =>
      withStored(async (store, settings) => {
        let records = 0
        for (const name of await chosenSources(store, source)) {
          const choice = { source: name, field: fieldOf(settings, name), payer }
          records +=
            to === undefined
              ? await store.payers.lookAgain(choice)
              : await store.payers.release(choice, to)
        }
        const vault = await vaultText(store, to)
        return { records, ...(vault === undefined ? {} : { vault }) }
      }),
    correction: () => withStored(previewCorrection),
    correct: ({ account, waived, ...ordered }) =>
      withStored((store, settings) =>
        waived === undefined
          ? recordRemapping(store, settings, account, ordered)
          : recordWaiver(store, waived, ordered),
      ),
    corrections: (limit) =>
      withStored(async (store) => {
        const recorded: RecordedCorrection[] = []
        for (const correction of await store.corrections.list(limit)) {
          recorded.push(await callOf(correction, store))
        }
        return recorded
      }),
    decisions: (limit) => withStored((store) => store.decisions.list(limit)),
    setAsides: (choice, limit) =>
      withStored(async (store) => {
        await chosenSources(store, choice.source)
        return store.setAsides.waiting(choice, limit)
      }),
    decide: (rows, word) =>
      withStored(async (store) => {
        const verdicts: Verdict[] = []
        for (const row of rows) {
          verdicts.push(
            word === 'dismiss'
              ? { outcome: (await store.setAsides.dismiss(row)) ? 'dismissed' : 'decided' }
              : await store.setAsides.letCount(row, word === 'instead'),
          )
        }
        return verdicts
      }),
    rejects: (limit) => withStored((store) => store.records.rejects(limit)),
    audit: (source, days) => audit(loadConfig(env, folder), source, days, signal),
    backfill: (options) => backfill(loadConfig(env, folder), options, signal),
  }
}

async function explain(
  user: string,
  source: string | undefined,
  env: Environment,
  folder: string,
  signal: AbortSignal,
): Promise<Explained> {
  const config = loadAttributionConfig(env, folder)
  const settings = attributionSettings(config)
  const payerField = fieldOf(settings, source ?? '')
  // Asked here and now, not read from the store: whoever tries a mapping wants its answer.
  const answers = new Map<string, DirectoryAnswers>()
  for (const directory of await createDirectories(config.mapping.chain, config.secretOf, folder)) {
    const byPayer = await directory.read([user], signal)
    answers.set(directory.name, { isRead: true, byPayer })
    await directory.close()
  }
  const look = async (store?: Store): Promise<Explained> => {
    const isNamed = Object.hasOwn(settings.sources ?? {}, source ?? '')
    if (store !== undefined && !isNamed) await chosenSources(store, source)
    const found = store === undefined ? new Map() : await store.directory.findAll([user])
    const data: MappingData = { directory: found, answers }
    let mapped = settings.map(user, data)
    if (settings.isRivalryRefused && store !== undefined && mapped.account !== undefined) {
      const rivals = await store.payers.rivals(new Map([[user, mapped.account]]))
      mapped = settings.map(user, { ...data, rivals })
    }
    const all = config.mapping.chain.map((one) =>
      'name' in one ? `${one.kind}/${one.name}` : one.kind,
    )
    const asked = mapped.steps.length
    const isNobody = mapped.steps[0]?.strategy === 'none'
    const vault = await vaultText(store, mapped.account)
    return {
      ...mapped,
      payerField,
      notAsked: isNobody ? all : all.slice(asked),
      ...(vault === undefined ? {} : { vault }),
    }
  }
  return existsSync(config.databaseUrl) ? withStore(config.databaseUrl, look) : look()
}

async function vaultText(
  store: Store | undefined,
  account: bigint | undefined,
): Promise<string | undefined> {
  if (account === undefined) return undefined
  if (store === undefined || (await store.books.version()) === '') {
    return 'not known: the daemon has not read the vaults from Flow yet'
  }
  const [vault] = await store.books.vaults([accountNumber(account)])
  if (vault === undefined) return 'there is none with this number: its usage would wait'
  const since = new Date(vault.openedPeriodStart * 1000).toISOString().slice(0, 10)
  return vault.isOpen ? `open, usage counts from ${since} on` : 'closed: its usage would wait'
}

/** The oldest and newest record of each group say whether all, some or none of it would wait. */
async function mapAll(store: Store, settings: AttributeSettings): Promise<MapAll> {
  const usages = await waitingUsage(store, settings)
  const estimates = await Estimates.read(store)
  const models = await store.books.models()
  const map = await mapPayers(
    usages.map(({ payer }) => payer),
    { ...store, settings },
  )
  const unmapped: WaitingUsage[] = []
  for (const usage of usages) {
    const mapped = map(usage.payer)
    const vault = mapped.account === undefined ? undefined : estimates.vault(mapped.account)
    const reasons = [usage.oldestAtMs, usage.newestAtMs].map((startedAtMs) => {
      const record = {
        key: { source: usage.source, requestId: '' },
        startedAtMs,
        model: usage.model,
      }
      const found = attribute(record, mapped, vault, models, settings)
      return found.account === undefined ? found.reason : undefined
    })
    const reason = reasons.find((one) => one !== undefined)
    if (reason === undefined) continue
    const isPart = reasons.includes(undefined)
    unmapped.push({ ...usage, reason: isPart ? `some of it: ${reason}` : reason })
  }
  return {
    payers: new Set(usages.map(({ source, payer }) => `${source}\n${payer}`)).size,
    records: usages.reduce((sum, { records }) => sum + records, 0),
    unmapped,
  }
}

async function waitingUsage(store: Store, settings: AttributeSettings): Promise<WaitingUsage[]> {
  const all: WaitingUsage[] = []
  for (const name of await chosenSources(store, undefined)) {
    all.push(...(await store.payers.waitingUsage(name, fieldOf(settings, name))))
  }
  return all
}

/** Compares here and now: the days asked for, else the last week's closed ones. Newest first. */
async function audit(
  config: Config,
  source: string | undefined,
  days: DayRange | undefined,
  signal: AbortSignal,
): Promise<readonly AuditedDay[]> {
  return withStore(config.databaseUrl, async (store) => {
    const compared: AuditedDay[] = []
    for (const one of config.sources.filter(
      ({ name }) => source === undefined || name === source,
    )) {
      const totals = await createControlTotals(one, config.secretOf)
      const state = await store.records.source(one.name)
      if (totals === undefined || state === undefined) continue
      const wanted = days === undefined ? closedDays(state.readUntilMs, '') : daysOf(days)
      for (const day of wanted.slice(0, DAYS_AUDITED_MAX).reverse()) {
        const parts = { controls: store.controls, totals, clock }
        const result = await askSource(one, signal, () => compareDay(parts, day, signal))
        const caveat = caveatOf(state, day)
        compared.push({ ...result, ...(caveat === undefined ? {} : { caveat }) })
      }
    }
    if (compared.length > 0 || source === undefined) return compared
    const names = config.sources.filter(({ kind }) => kind === 'litellm').map(({ name }) => name)
    throw new ConfigError(
      'no_control_totals',
      `There is nothing to hold source "${source}" against: it is none of ${names.join(', ')}, or ` +
        `none of its last ${DAYS_COMPARED} days is closed and read yet.`,
    )
  })
}

/** Why a difference of the day need not mean anything; none for a day that was read in full. */
function caveatOf({ readUntilMs, collectFromMs }: SourceState, day: string): string | undefined {
  const startMs = Date.parse(`${day}T00:00:00Z`)
  if (startMs < collectFromMs) {
    return `reading began at ${new Date(collectFromMs).toISOString()}: earlier calls are only LiteLLM's`
  }
  if (closedDays(readUntilMs, day).includes(day) || startMs + DAY_MS < readUntilMs - DAY_MS) return
  return 'the day is not closed yet: calls of it may still come'
}

/** What fails at a source is told with its fix, as `doctor` does, and not as a bug. */
async function askSource<Result>(
  config: SourceConfig,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (signal.aborted) {
      throw new ConfigError(
        'stopped',
        `Stopped while reading ${config.name}. Run it again to go on.`,
      )
    }
    if (!(error instanceof RetryableError)) throw error
    const fix = fixOfSource(config, error.code)
    throw new ConfigError(error.code, `source ${config.name}: ${error.message}. ${fix}`)
  }
}

function daysOf({ from, until }: DayRange): string[] {
  const days: string[] = []
  const endMs = Date.parse(`${until}T00:00:00Z`)
  for (let atMs = Date.parse(`${from}T00:00:00Z`); atMs <= endMs; atMs += DAY_MS) {
    days.push(dayText(atMs))
    if (days.length === DAYS_AUDITED_MAX) break
  }
  return days
}

async function backfill(
  config: Config,
  { fromMs, untilMs, source: only, isRun, onSlice }: BackfillOptions,
  signal: AbortSignal,
): Promise<readonly BackfillOutcome[]> {
  const rule = await createRecordRule(config.aggregation, config.folder)
  const settings = attributionSettings(config, rule?.version)
  return withStore(config.databaseUrl, async (store) => {
    const outcomes: BackfillOutcome[] = []
    const chosen = config.sources.filter(({ name }) => only === undefined || name === only)
    if (chosen.length === 0) throw unknownSource(only, config.sources)
    for (const one of chosen) {
      const source = one.name
      if (!isRead(one)) {
        const why = 'it sends its usage by itself and cannot be read again'
        outcomes.push({ source, kind: 'nothing', why })
        continue
      }
      const adapter = await createSource(one, config.secretOf, store.readings)
      const parts = { stores: store, source: adapter, clock }
      const range = await backfillRange(parts, { fromMs, untilMs })
      if (range === undefined) {
        const why = 'the daemon has not read that far yet, and will read it by itself'
        outcomes.push({ source, kind: 'nothing', why })
      } else if (isRun) {
        const tell = (until: number, added: number) => onSlice(source, until, added)
        const run = () => runBackfill(parts, range, signal, tell)
        outcomes.push({ source, kind: 'run', ...(await askSource(one, signal, run)) })
      } else {
        // What a rule has not decided yet is shown as if all of it counted.
        const { ruleVersion: _, ...undecided } = settings
        const preview = () => previewBackfill(parts, range, undecided, signal)
        outcomes.push({ source, kind: 'preview', ...(await askSource(one, signal, preview)) })
      }
    }
    return outcomes
  })
}

async function chosenSources(store: Store, only: string | undefined): Promise<string[]> {
  const sources = await store.records.sources()
  const chosen = sources.filter(({ name }) => only === undefined || name === only)
  if (chosen.length === 0 && only !== undefined) throw unknownSource(only, sources)
  return chosen.map(({ name }) => name)
}

function unknownSource(
  name: string | undefined,
  known: readonly { readonly name: string }[],
): ConfigError {
  const names = known.map((one) => one.name).join(', ')
  return new ConfigError('no_source', `There is no source "${name}". There are: ${names}.`)
}

function fieldOf({ payerField, sources = {} }: AttributeSettings, source: string) {
  return payerFieldOf({ payerField, sources }, source)
}
