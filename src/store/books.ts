import { type Kysely, sql } from 'kysely'
import { keccak, utf8 } from '../domain/bytes.js'
import type { AccountRange } from '../domain/ids.js'
import type { EntryKey } from '../domain/usage-total.js'
import type { Compared, Lap } from '../ports/laps.js'
import type { AppliedRecord, Balance, Vault } from '../ports/settler.js'
import type { Books, ChainView, MadeChecks } from '../ports/stores.js'
import { accountText } from './columns.js'
import { slicesOf } from './in-transaction.js'
import { decode, encode } from './json.js'
import { kept } from './kept.js'
import type { Tables } from './tables.js'

type Kind = 'view' | 'vault' | 'applied' | 'balance' | 'cursor' | 'checks' | 'lap'

const NAMES_A_QUERY = 500

export function sqlBooks(db: Kysely<Tables>): Books {
  const shelf = new Shelf(db)
  return {
    version: async () => (await shelf.get<string>('view', 'version')) ?? '',

    async saveChainView(view) {
      const version = versionOf(view)
      if ((await shelf.get<string>('view', 'version')) === version) return
      await shelf.keepOnly(
        'vault',
        new Map(view.vaults.map((vault) => [accountText(vault.account), vault])),
      )
      await shelf.put('view', 'models', view.models)
      await shelf.put('view', 'plans', view.plans)
      await shelf.put('view', 'version', version)
    },

    vaults: (accounts) => shelf.values<Vault>('vault', accounts?.map(accountText)),
    models: async () => (await shelf.get<readonly string[]>('view', 'models')) ?? [],
    plans: async () => (await shelf.get<ChainView['plans']>('view', 'plans')) ?? new Map(),

    readHeight: () => shelf.get<number>('cursor', 'settled'),
    saveReadHeight: (height) => shelf.put('cursor', 'settled', height),

    async saveApplied(records) {
      for (const record of records) {
        await shelf.put('applied', appliedName(record), record)
      }
    },
    applied: (range) => shelf.valuesIn<AppliedRecord>('applied', range),
    appliedOf: (keys) => shelf.values<AppliedRecord>('applied', keys.map(appliedName)),

    async saveBalances(balances) {
      for (const balance of balances) {
        await shelf.put('balance', accountText(balance.account), balance)
      }
    },
    balances: (range) => shelf.valuesIn<Balance>('balance', range),
    balancesOf: (accounts) => shelf.values<Balance>('balance', accounts.map(accountText)),

    saveAdoption: (adoption) => shelf.put('cursor', 'adoption', { adoption: adoption ?? null }),
    async adoption() {
      type Adoption = { readonly atMs: number; readonly toSeq: bigint }
      const kept = await shelf.get<{ readonly adoption: Adoption | null }>('cursor', 'adoption')
      return kept?.adoption ?? undefined
    },

    saveChecks: (checks, conservation, atMs) =>
      shelf.put('checks', 'newest', { checks, conservation, atMs }),
    async checks() {
      type Newest = Omit<MadeChecks, 'compared'>
      const newest = await shelf.get<Newest>('checks', 'newest')
      return newest && withLaps(newest, await shelf.values<Lap>('lap'))
    },

    lap: (course) => shelf.get('lap', course),
    saveLap: (course, lap) => shelf.put('lap', course, lap),
    forgetLaps: () => shelf.keepOnly('lap', new Map()),
  }
}

/** Of two figures of one check the worse: the newest batches are looked at more often than all. */
function withLaps(newest: Omit<MadeChecks, 'compared'>, laps: readonly Lap[]): MadeChecks {
  const checks: Record<string, bigint> = { ...newest.checks }
  const compared: Record<string, Compared> = {}
  for (const { found, last, startedAtMs } of laps) {
    for (const [check, now] of Object.entries(found)) {
      const figures = [checks[check], last?.found[check], now === 0n ? undefined : now]
      for (const figure of figures) {
        if (figure !== undefined && figure >= (checks[check] ?? 0n)) checks[check] = figure
      }
      const unknown = last?.unknown[check] ?? 0n
      compared[check] = { endedAtMs: last?.endedAtMs, startedAtMs, unknown }
    }
  }
  return { ...newest, checks, compared }
}

function appliedName({ accountNumber, periodStart }: EntryKey): string {
  return `${accountText(accountNumber)}/${periodStart}`
}

/** After all names that begin with an account: periods are digits. */
const BEYOND_PERIODS = '/~'

function versionOf(view: ChainView): string {
  return keccak(utf8(encode([view.vaults, view.models, view.plans])))
}

const documentOf = kept((db, kind: Kind, name: string) =>
  db.selectFrom('books').select('value').where('kind', '=', kind).where('name', '=', name),
)

const documentsBetween = kept((db, kind: Kind, from: string, to: string) =>
  db
    .selectFrom('books')
    .select('value')
    .where('kind', '=', kind)
    .where('name', '>=', from)
    .where('name', '<=', to)
    .orderBy('name'),
)

const putDocument = kept((db, kind: Kind, name: string, value: string) =>
  db
    .insertInto('books')
    .values({ kind, name, value })
    .onConflict((conflict) =>
      conflict.columns(['kind', 'name']).doUpdateSet({ value: sql`excluded.value` }),
    ),
)

/** Documents by kind and name. */
class Shelf {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  async get<Value>(kind: Kind, name: string): Promise<Value | undefined> {
    const [row] = await documentOf(this.#db, kind, name)
    return row === undefined ? undefined : decode<Value>(row.value)
  }

  async values<Value>(kind: Kind, names?: readonly string[]): Promise<Value[]> {
    if (names !== undefined && names.length > NAMES_A_QUERY) {
      const head = await this.values<Value>(kind, names.slice(0, NAMES_A_QUERY))
      return [...head, ...(await this.values<Value>(kind, names.slice(NAMES_A_QUERY)))]
    }
    const all = this.#db.selectFrom('books').select('value').where('kind', '=', kind)
    const rows = await (names === undefined ? all : all.where('name', 'in', names))
      .orderBy('name')
      .execute()
    return rows.map(({ value }) => decode<Value>(value))
  }

  /** Names begin with an account. */
  async valuesIn<Value>(kind: Kind, { from, to }: AccountRange): Promise<Value[]> {
    const last = `${accountText(to)}${BEYOND_PERIODS}`
    const rows = await documentsBetween(this.#db, kind, accountText(from), last)
    return rows.map(({ value }) => decode<Value>(value))
  }

  async put(kind: Kind, name: string, value: unknown): Promise<void> {
    await putDocument(this.#db, kind, name, encode(value))
  }

  /** Writes what differs alone: of twenty thousand vaults, few change at once. */
  async keepOnly(kind: Kind, documents: ReadonlyMap<string, unknown>): Promise<void> {
    const rows = await this.#db
      .selectFrom('books')
      .select(['name', 'value'])
      .where('kind', '=', kind)
      .execute()
    const before = new Map(rows.map(({ name, value }) => [name, value]))
    for (const [name, value] of documents) {
      if (before.get(name) !== encode(value)) await this.put(kind, name, value)
      before.delete(name)
    }
    for (const some of slicesOf([...before.keys()], NAMES_A_QUERY)) {
      await this.#db
        .deleteFrom('books')
        .where('kind', '=', kind)
        .where('name', 'in', some)
        .execute()
    }
  }
}
