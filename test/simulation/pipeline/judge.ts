import { sql } from 'kysely'
import { assert } from '../../../src/domain/errors.js'
import { periodAt } from '../../../src/domain/period.js'
import { TWIN_SOURCE } from '../../../src/domain/set-aside.js'
import type { UsageRecord } from '../../../src/domain/usage-record.js'
import { addUsage, NO_USAGE, type Usage } from '../../../src/domain/usage-total.js'
import { dueOf } from '../../../src/pricing/price.js'
import { planIn, type VaultState } from './models/vault.js'
import type { World } from './world.js'

/** What must be 0, by name. A sentence for each that is not goes to `tell`. */
export interface Verdict {
  lost: number
  doubled: number
  overcharged: number
  readonly invariants: Record<string, number>
}

export type Tell = (what: string) => void

interface Claim {
  readonly name: string
  readonly excluded: string | null
  readonly account: string | null
  readonly periodStart: bigint | null
  readonly modelId: bigint | null
  readonly seq: bigint | null
}

/** A record that a correction has taken out of a total. */
interface Move {
  readonly name: string
  readonly account: string | null
  readonly periodStart: bigint | null
  readonly modelId: bigint | null
  readonly seq: bigint | null
}

/** Compares what was charged with what was used, by code that the pipeline does not share. */
export async function judge(world: World, tell: Tell): Promise<Verdict> {
  const verdict: Verdict = { lost: 0, doubled: 0, overcharged: 0, invariants: {} }
  const claims = await readClaims(world)
  const truth = new Map<string, Map<number, Usage>>()
  const wrong = (name: string, what: string) => {
    verdict.invariants[name] = (verdict.invariants[name] ?? 0) + 1
    tell(`${name}: ${what}`)
  }
  const rejected = await readRejects(world)
  const unmatched = new Set(claims.keys())
  const moves = await readMoves(world)
  for (const { record, reject } of world.schedule.rows) {
    const id = nameOf(record)
    const claim = claims.get(id)
    unmatched.delete(id)
    if (reject !== undefined) {
      if (!rejected.delete(id)) wrong('rows_recorded', `reject ${id} is not kept`)
      continue
    }
    if (claim === undefined) wrong('rows_recorded', `${id} is no record`)
    if (record.excluded !== undefined) continue
    const twin = claims.get(twinOf(world, record) ?? '')
    if (claim?.excluded === TWIN_SOURCE && twin?.excluded === null) continue // That one counts.
    if (twin !== undefined && claim?.excluded === null && twin.excluded === null) {
      wrong('twins', `${id} counts under both sources`)
    }
    if (claim === undefined || claim.account === null || claim.seq === null) {
      const why = whyNotBilled(world, record, claim?.account ?? null)
      if (why === undefined) {
        verdict.lost += 1
        tell(`lost: ${id} of ${record.payers.user} is in no batch`)
      }
      continue
    }
    const place = moves.get(id) ?? claim
    if (place.account === null) continue // An operator has let it count nowhere.
    if (place.seq === null) {
      verdict.lost += 1
      tell(`lost: ${id} was moved, and is counted nowhere`)
      continue
    }
    const account = BigInt(place.account)
    const periodStart = Number(place.periodStart)
    if (!accountsOf(world, record.payers.user).has(account)) {
      wrong('attribution', `${id} went to ${account}`)
    }
    const kind = vaultOf(world, account)?.periodKind
    if (kind === undefined || periodAt(record.startedAtMs, kind).startsAt !== periodStart) {
      wrong('attribution', `${id} went to period ${periodStart}`)
    }
    add(truth, `${account}/${periodStart}`, Number(place.modelId), record)
  }
  for (const id of unmatched) {
    verdict.doubled += 1
    tell(`doubled: ${id} is a record of no row`)
  }
  for (const id of rejected) wrong('rows_recorded', `${id} was rejected, and no row is so`)
  compareApplied(world, truth, verdict, tell, wrong)
  return verdict
}

/** What Flow has applied of each (vault, period), and what it charged, against the rows. */
function compareApplied(
  world: World,
  truth: ReadonlyMap<string, ReadonlyMap<number, Usage>>,
  verdict: Verdict,
  tell: Tell,
  wrong: (name: string, what: string) => void,
): void {
  const { vaults, plans } = world.flow.state()
  const names = new Set(truth.keys())
  for (const [account, { records }] of vaults) {
    for (const start of records.keys()) names.add(`${account}/${start}`)
  }
  for (const name of names) {
    const [account = '', start = ''] = name.split('/')
    const vault = vaults.get(BigInt(account))
    const record = vault?.records.get(Number(start))
    const used = truth.get(name) ?? new Map<number, Usage>()
    const stated = (record?.rows ?? []).filter(({ requests }) => requests > 0n)
    const applied = new Map(stated.map((row) => [row.modelId as number, row]))
    for (const model of new Set([...used.keys(), ...applied.keys()])) {
      const [due, have] = [used.get(model) ?? NO_USAGE, applied.get(model) ?? NO_USAGE]
      const missing = Number(due.requests - have.requests)
      if (missing > 0) verdict.lost += missing
      if (missing < 0) verdict.doubled -= missing
      const isSame =
        due.promptTokens === have.promptTokens &&
        due.cachedPromptTokens === have.cachedPromptTokens &&
        due.completionTokens === have.completionTokens
      if (missing !== 0)
        tell(`${name} model ${model}: ${due.requests} calls, ${have.requests} applied`)
      else if (!isSame) wrong('applied_vs_rows', `${name} model ${model}: other tokens`)
    }
    if (vault === undefined) continue
    const plan = plans.get(planIn(vault, Number(start)) ?? '')
    assert(plan !== undefined, 'every period has a plan')
    const rows = [...used].map(([modelId, usage]) => ({ modelId: modelId as never, ...usage }))
    const charged = record?.charged ?? 0n
    const price = dueOf(plan, rows)
    if (charged > price) {
      verdict.overcharged += 1
      tell(`overcharged: ${name} was charged ${charged}, and its usage costs ${price}`)
    } else if (charged !== price) {
      wrong('charged_vs_price', `${name} was charged ${charged}, and its usage costs ${price}`)
    }
  }
}

async function readClaims({ db }: World): Promise<Map<string, Claim>> {
  const { rows } = await sql<Claim>`select source || '/' || request_id as name, excluded, account,
    period_start as "periodStart", model_id as "modelId", batch_seq as seq
    from usage_records`.execute(db)
  return new Map(rows.map((row) => [row.name, row]))
}

/** The newest move of each record that Flow has sealed. */
async function readMoves({ db }: World): Promise<Map<string, Move>> {
  const { rows } =
    await sql<Move>`select moved_source || '/' || moved_request_id as name, to_account as account,
    to_period_start as "periodStart", to_model_id as "modelId", counted_by as seq
    from record_moves m join corrections c on c.correction_id = m.correction_id
    where c.sealed_height is not null order by m.correction_id`.execute(db)
  return new Map(rows.map((row) => [row.name, row]))
}

async function readRejects({ db }: World): Promise<Set<string>> {
  const { rows } = await sql<{
    id: string
  }>`select source || '/' || request_id as id from rejects`.execute(db)
  return new Set(rows.map(({ id }) => id))
}

function nameOf({ key }: UsageRecord): string {
  return `${key.source}/${key.requestId}`
}

/** The same call under another source. */
function twinOf({ schedule }: World, { key, ...call }: UsageRecord): string | undefined {
  const twin = schedule.rows.find(
    ({ record }) =>
      record.key.requestId === key.requestId &&
      record.key.source !== key.source &&
      record.promptTokens === call.promptTokens,
  )
  return twin && nameOf(twin.record)
}

function add(
  truth: Map<string, Map<number, Usage>>,
  name: string,
  model: number,
  record: UsageRecord,
): void {
  const rows = truth.get(name) ?? new Map<number, Usage>()
  const { promptTokens, cachedPromptTokens, completionTokens } = record
  const used = { promptTokens, cachedPromptTokens, completionTokens, requests: 1n }
  rows.set(model, addUsage(rows.get(model) ?? NO_USAGE, used))
  truth.set(name, rows)
}

/** Undefined where it should have been billed. */
function whyNotBilled(
  world: World,
  { payers, startedAtMs }: UsageRecord,
  attributedTo: string | null,
): string | undefined {
  const named = [...accountsOf(world, payers.user)]
  const accounts = named.slice(-1)
  if (accounts.length === 0) return 'nobody'
  const isTooEarly = accounts.every((account) => {
    const vault = vaultOf(world, account)
    if (vault === undefined) return true
    return periodAt(startedAtMs, vault.periodKind).startsAt < vault.openedPeriodStart
  })
  if (isTooEarly) return 'its vault was opened later'
  const isClosed = accounts.every((account) => vaultOf(world, account)?.status === 'closed')
  return isClosed && attributedTo === null ? 'its vault is closed' : undefined
}

function accountsOf({ directory }: World, user: string): ReadonlySet<bigint> {
  const number = /^(?:vault_)?(\d+)$/.exec(user)?.[1]
  if (number !== undefined) return new Set([BigInt(number)])
  return directory.get(user) ?? new Set()
}

function vaultOf({ flow }: World, account: bigint): VaultState | undefined {
  return flow.state().vaults.get(account)
}
