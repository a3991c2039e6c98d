import { keccak, utf8 } from '../domain/bytes.js'
import { type AccountNumber, type ModelId, modelId, OTHER_MODEL } from '../domain/ids.js'
import { periodAt } from '../domain/period.js'
import type { PayerField, UsageRecord } from '../domain/usage-record.js'
import { type Mapped, type MappingConfig, payerFieldOf, whyUnmapped } from '../mapping/index.js'
import type { MappingData } from '../mapping/strategy.js'
import type { Decision } from '../ports/decisions.js'
import { type Directories, nameOfRecord } from '../ports/payers.js'
import type { Vault } from '../ports/settler.js'
import type { RecordAttribution, Store, Stores } from '../ports/stores.js'
import { type ModelAliases, planModel } from '../pricing/model-aliases.js'
import type { StepOutcome } from '../runtime/worker.js'

type AttributeStores = Pick<
  Stores,
  'records' | 'directory' | 'directories' | 'payers' | 'decisions' | 'books'
>

interface AttributeParts extends AttributeStores {
  readonly settings: AttributeSettings
}

export interface AttributeSettings {
  readonly payerField: PayerField
  /** Sources whose records name their payer in another field. */
  readonly sources?: MappingConfig['sources']
  /** The directories of the chain that have a worker of their own, by name. */
  readonly directories?: readonly string[]
  /** Whether some strategy must not give two known payers one account. */
  readonly isRivalryRefused?: boolean
  /** The operator's own rule, which has to look at a record before it counts; absent without one. */
  readonly ruleVersion?: string
  readonly map: (payer: string, data: MappingData) => Mapped
  readonly modelAliases: ModelAliases
  readonly isUnknownModelHeld: boolean
  /** Changes when any of the above does. */
  readonly version: string
}

/** The four bytes that an entry has for it. */
const PERIOD_START_MAX = 2 ** 32 - 1

/** One transaction's worth: a crash costs no more than this, and other steps get their turn. */
const RECORDS_A_STEP = 1_000

/**
 * Finds the vault, period and model of records that are in no batch. All of it is looked up again
 * whenever mapping, vaults or models change, so nothing has to be sent through a queue twice.
 */
export async function attributeNext(
  parts: AttributeParts & Pick<Store, 'transaction'>,
): Promise<StepOutcome> {
  if ((await nextWaiting(parts, 1)) === undefined) return 'idle'
  const { settings } = parts
  // What is saved under a version has to be what that version says: a directory that another process
  // changes meanwhile, and changes back, would else leave an answer of the time between.
  return parts.transaction((stores) => attributeSome({ ...stores, settings }))
}

/** Records to be looked at, and under which version; undefined where there are none. */
async function nextWaiting(parts: AttributeParts, limit: number) {
  const version = await mappingVersion(parts)
  if (version === undefined) return undefined
  const waiting = await parts.records.unattributed(version, limit)
  return waiting.length === 0 ? undefined : { version, waiting }
}

async function attributeSome(parts: AttributeParts): Promise<StepOutcome> {
  const { records, settings } = parts
  const next = await nextWaiting(parts, RECORDS_A_STEP)
  if (next === undefined) return 'idle'
  const { version, waiting } = next
  if (settings.isRivalryRefused && (await saveClaims(waiting, parts))) return 'advanced'
  const mapped = await mapAll(waiting, parts)
  const accounts = mapped.flatMap(({ account }) => (account === undefined ? [] : [account]))
  const vaults = await parts.books.vaults([...new Set(accounts)])
  const byAccount = new Map(vaults.map((vault) => [vault.account, vault]))
  const models = await parts.books.models()
  const decisions = await readDecisions(waiting, parts)
  const found = waiting.map((record, i) => {
    const one = mapped[i]
    const undecided = whyUndecided(decisions, record)
    if (undecided !== undefined) return { key: record.key, reason: undecided }
    const vault = one?.account === undefined ? undefined : byAccount.get(one.account)
    return attribute(record, one, vault, models, settings)
  })
  await records.saveAttributions(version, found)
  return 'advanced'
}

/** Names all that attribution depends on; undefined until Flow was read for the first time. */
export async function mappingVersion(
  parts: Pick<AttributeParts, 'directory' | 'directories' | 'payers' | 'books' | 'settings'>,
): Promise<string | undefined> {
  const { settings } = parts
  const books = await parts.books.version()
  if (books === '') return undefined
  const directory = await parts.directory.version()
  const { directories: names = [], isRivalryRefused, ruleVersion = '' } = settings
  const others = names.length === 0 ? '' : await parts.directories.version(names)
  const rivals = isRivalryRefused ? await parts.payers.rivalsVersion() : ''
  const all = [settings.version, directory, books, others, rivals, ruleVersion]
  return keccak(utf8(all.join(' ').trimEnd()))
}

/** Maps payers as attribution does, with what the store knows. Also for commands. */
export async function mapPayers(
  payers: readonly string[],
  { directory, directories, payers: known, settings }: MapParts,
): Promise<(payer: string) => Mapped> {
  const distinct = [...new Set(payers)]
  const answers = new Map<
    string,
    { isRead: boolean; byPayer: Awaited<ReturnType<Directories['find']>> }
  >()
  for (const name of settings.directories ?? []) {
    const byPayer = await directories.find(name, distinct)
    answers.set(name, { isRead: await directories.isRead(name), byPayer })
  }
  const data: MappingData = { directory: await directory.findAll(distinct), answers }
  if (!settings.isRivalryRefused) return (payer) => settings.map(payer, data)
  const rivals = await known.rivals(claimsOf(distinct, data, settings))
  return (payer) => settings.map(payer, { ...data, rivals })
}

export type MapParts = Pick<AttributeParts, 'directory' | 'directories' | 'payers' | 'settings'>

/** Whose account each payer's would be, if nobody else had it. */
function claimsOf(
  payers: readonly string[],
  data: MappingData,
  settings: AttributeSettings,
): Map<string, AccountNumber> {
  const claims = new Map<string, AccountNumber>()
  for (const payer of payers) {
    const { account } = settings.map(payer, data)
    if (account !== undefined) claims.set(payer, account)
  }
  return claims
}

/** True when a known payer got a rival by this: then everything that waits is looked at again. */
async function saveClaims(
  records: readonly UsageRecord[],
  parts: AttributeParts,
): Promise<boolean> {
  const { payers, settings } = parts
  const before = await payers.rivalsVersion()
  const distinct = [...new Set(records.map((record) => payerOf(record, settings)))]
  const map = await mapPayers(distinct, {
    ...parts,
    settings: { ...settings, isRivalryRefused: false },
  })
  const claims = new Map<string, AccountNumber>()
  for (const payer of distinct) {
    const { account } = map(payer)
    if (account !== undefined) claims.set(payer, account)
  }
  await payers.saveClaims(claims)
  return before !== (await payers.rivalsVersion())
}

export function payerOf(
  { key, payers }: UsageRecord,
  { payerField, sources = {} }: Pick<AttributeSettings, 'payerField' | 'sources'>,
): string {
  return payers[payerFieldOf({ payerField, sources }, key.source)]
}

/** Undefined where the operator has no rule of their own. */
async function readDecisions(
  records: readonly UsageRecord[],
  { decisions, settings }: AttributeParts,
): Promise<ReadonlyMap<string, Decision> | undefined> {
  if (settings.ruleVersion === undefined) return undefined
  return decisions.of(
    settings.ruleVersion,
    records.map(({ key }) => key),
  )
}

function whyUndecided(
  decisions: ReadonlyMap<string, Decision> | undefined,
  { key }: UsageRecord,
): string | undefined {
  if (decisions === undefined) return undefined
  const decision = decisions.get(nameOfRecord(key))
  if (decision === undefined) return 'the aggregation rule has not looked at it yet'
  return decision.verdict === 'hold' ? `aggregation rule: ${decision.reason}` : undefined
}

async function mapAll(records: readonly UsageRecord[], parts: AttributeParts): Promise<Mapped[]> {
  const payers = records.map((record) => payerOf(record, parts.settings))
  const map = await mapPayers(payers, parts)
  const released = await parts.payers.released(records.map(({ key }) => key))
  return records.map(({ key }, i) => {
    const payer = payers[i] ?? ''
    const account = released.get(nameOfRecord(key))
    if (account === undefined) return map(payer)
    const steps = [{ strategy: 'released', answer: `account ${account}` }]
    return { payer, account, strategy: 'released', steps }
  })
}

/** Where one record goes, or why that is not known. Pure: also for commands that only look. */
export function attribute(
  record: Pick<UsageRecord, 'key' | 'startedAtMs' | 'model'>,
  mapped: Mapped | undefined,
  vault: Vault | undefined,
  models: readonly string[],
  settings: AttributeSettings,
): RecordAttribution {
  const { key } = record
  if (mapped?.account === undefined || mapped.strategy === undefined) {
    return { key, reason: mapped === undefined ? 'not looked at' : whyUnmapped(mapped) }
  }
  const where = `${mapped.strategy}: account ${mapped.account}`
  if (vault === undefined) return { key, reason: `${where} is no vault of this provider on Flow` }
  if (!vault.isOpen) return { key, reason: `${where} is closed` }

  const periodStart = periodAt(record.startedAtMs, vault.periodKind).startsAt
  if (periodStart < vault.openedPeriodStart) {
    return { key, reason: `${where} was opened in a later billing period` }
  }
  // No entry could state it, and a seal that fails would fail again for ever.
  if (periodStart > PERIOD_START_MAX) return { key, reason: 'began beyond any billing period' }
  if (periodStart < vault.floor) return { key, reason: `${where} no longer takes this period` }
  const id = idOfModel(record.model, models, settings)
  if (id === undefined) return { key, reason: `unpriced: model "${record.model}" has no rate` }
  return { key, account: vault.account, strategy: mapped.strategy, periodStart, modelId: id }
}

function idOfModel(
  model: string,
  models: readonly string[],
  { modelAliases, isUnknownModelHeld }: AttributeSettings,
): ModelId | undefined {
  const place = models.indexOf(planModel(modelAliases, model))
  if (place >= 0) return modelId(place + 1)
  return isUnknownModelHeld ? undefined : OTHER_MODEL
}
