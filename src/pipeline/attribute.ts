import { keccak, utf8 } from '../domain/bytes.js'
import { type ModelId, modelId, OTHER_MODEL } from '../domain/ids.js'
import { periodAt } from '../domain/period.js'
import type { PayerField, UsageRecord } from '../domain/usage-record.js'
import { type Mapped, whyUnmapped } from '../mapping/index.js'
import type { MappingData } from '../mapping/strategy.js'
import type { Vault } from '../ports/settler.js'
import type { Books, Directory, RecordAttribution, Records } from '../ports/stores.js'
import { type ModelAliases, planModel } from '../pricing/model-aliases.js'
import type { StepOutcome } from '../runtime/worker.js'

export interface AttributeParts {
  readonly records: Records
  readonly directory: Directory
  readonly books: Books
  readonly settings: AttributeSettings
}

export interface AttributeSettings {
  readonly payerField: PayerField
  readonly map: (payer: string, data: MappingData) => Mapped
  readonly modelAliases: ModelAliases
  readonly isUnknownModelHeld: boolean
  /** Changes when any of the above does. */
  readonly version: string
}

/** One transaction's worth: a crash costs no more than this, and other steps get their turn. */
const RECORDS_A_STEP = 1_000

/**
 * Finds the vault, period and model of records that are in no batch. All of it is looked up again
 * whenever mapping, vaults or models change, so nothing has to be sent through a queue twice.
 */
export async function attributeNext(parts: AttributeParts): Promise<StepOutcome> {
  const version = await mappingVersion(parts)
  if (version === undefined) return 'idle'
  const { records, settings } = parts
  const waiting = await records.unattributed(version, RECORDS_A_STEP)
  if (waiting.length === 0) return 'idle'

  const mapped = await mapAll(waiting, parts)
  const accounts = mapped.flatMap(({ account }) => (account === undefined ? [] : [account]))
  const vaults = await parts.books.vaults([...new Set(accounts)])
  const byAccount = new Map(vaults.map((vault) => [vault.account, vault]))
  const models = await parts.books.models()
  const found = waiting.map((record, i) => {
    const one = mapped[i]
    const vault = one?.account === undefined ? undefined : byAccount.get(one.account)
    return attribute(record, one, vault, models, settings)
  })
  await records.saveAttributions(version, found)
  return 'advanced'
}

/** Names all that attribution depends on; undefined until Flow was read for the first time. */
export async function mappingVersion(
  parts: Pick<AttributeParts, 'directory' | 'books' | 'settings'>,
): Promise<string | undefined> {
  const books = await parts.books.version()
  if (books === '') return undefined
  const directory = await parts.directory.version()
  return keccak(utf8(`${parts.settings.version} ${directory} ${books}`))
}

async function mapAll(
  records: readonly UsageRecord[],
  { directory, settings }: AttributeParts,
): Promise<Mapped[]> {
  const payers = records.map((record) => record.payers[settings.payerField])
  const data = { directory: await directory.findAll([...new Set(payers)]) }
  return payers.map((payer) => settings.map(payer, data))
}

function attribute(
  record: UsageRecord,
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
