import { ZERO_HASH } from '../../src/domain/bytes.js'
import {
  type AccountNumber,
  type BatchId,
  batchId,
  batchSeq,
  type ModelId,
  modelId,
} from '../../src/domain/ids.js'
import { parseWad, wad } from '../../src/domain/money.js'
import { periodAt } from '../../src/domain/period.js'
import { NO_QUOTA, type Tier } from '../../src/domain/quota.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import type { EntryKey } from '../../src/domain/usage-total.js'
import type { BudgetSettings } from '../../src/pipeline/budget-settings.js'
import { type BudgetsParts, type BudgetsPass, budgetsNext } from '../../src/pipeline/budgets.js'
import { changeRows } from '../../src/pipeline/estimate.js'
import type { Clock } from '../../src/ports/clock.js'
import type { AccountState } from '../../src/ports/runways.js'
import type { Vault } from '../../src/ports/settler.js'
import type { Store } from '../../src/ports/stores.js'
import type { Plan } from '../../src/pricing/plan.js'
import { VaultModel } from './vault-model.js'

export const SOURCE = 'main'
const MODEL_ID = modelId(1)
const signal = new AbortController().signal

/** A thousand tokens of any kind are one cent; nothing else is due. */
export const FLAT_PLAN: Plan = {
  currency: 'USD',
  mode: 'graduated',
  periodKind: 'month',
  tiers: [{ upTo: null, pricePerMillion: 10_000_000n, discountBps: 0n }],
  minimum: wad(0n),
  fee: wad(0n),
  rates: new Map([
    [0, { prompt: 10_000n, cachedPrompt: 10_000n, completion: 10_000n, request: 0n }],
  ]),
}

export const FREE_TIER: Tier = {
  quota: { requestsAnHour: 10n, requestsADay: 50n, tokensADay: 10_000n },
  byok: NO_QUOTA,
  rpmLimit: 10,
  tpmLimit: 2_000,
  models: [],
}

export const SETTINGS: BudgetSettings = {
  rules: { reserveMin: parseWad('0.05'), warnMs: 24 * 3_600_000, softMs: 2 * 3_600_000 },
  gateway: { proxies: 2n, callTokens: 4_000n, callsAtOnce: 2n },
  delays: {
    ...{ lookMs: 15_000, syncMs: 5_000, keyCacheMs: 60_000 },
    ...{ callMs: 300_000, attestMs: 300_000 },
  },
  tiers: new Map([['free', FREE_TIER]]),
  defaultTier: undefined,
  byokModels: ['byok/*'],
}

interface Use {
  readonly tokens: number
  readonly startedAtMs?: number
  readonly model?: string
  readonly id?: string
}

/** A store as collecting, attribution and settlement leave it, with Flow's vaults beside it. */
export class BudgetWorld {
  readonly store: Store
  readonly clock: Clock
  readonly flow: VaultModel
  readonly plan: Plan
  settings: BudgetSettings
  /** Of models that are not the usual one, by the name that clients use. */
  readonly modelIds = new Map<string, ModelId>()
  readonly #vaults: Vault[] = []
  #calls = 0
  #seq = 0n
  #pass: BudgetsPass = {}

  constructor(store: Store, clock: Clock, { plan = FLAT_PLAN, settings = SETTINGS } = {}) {
    this.store = store
    this.clock = clock
    this.plan = plan
    this.flow = new VaultModel(plan)
    this.settings = settings
  }

  /** @param units 1e-8 tokens, each token worth one of the currency */
  async openVault(account: AccountNumber, units: bigint): Promise<void> {
    this.flow.open(account)
    this.flow.deposit(account, units)
    this.#vaults.push({
      ...{
        account,
        isOpen: true,
        periodKind: this.plan.periodKind,
        openedPeriodStart: 0,
        floor: 0,
      },
      plans: [{ fromPeriodStart: 0, planId: 'plan' }],
    })
    await this.saveView()
  }

  /** Flow's vaults as `reconcile` keeps them, and the tokens' price as `prices` does. */
  async saveView(vaults: readonly Vault[] = this.#vaults): Promise<void> {
    const plans = new Map([['plan', this.plan]])
    await this.store.books.saveChainView({ vaults, models: ['gpt-4'], plans })
    const { currency } = this.plan
    await this.store.watch.savePrices([{ token: 'T', currency, price: parseWad('1') }])
  }

  get vaults(): readonly Vault[] {
    return this.#vaults
  }

  record(account: AccountNumber, { tokens, startedAtMs, model, id }: Use): UsageRecord {
    this.#calls += 1
    const at = startedAtMs ?? this.clock.now()
    return {
      key: { source: SOURCE, requestId: id ?? `call ${this.#calls}` },
      ...{ startedAtMs: at, endedAtMs: at + 1_000 },
      payers: { user: `vault_${account}`, api_key: '', team_id: '', end_user: '' },
      model: model ?? 'gpt-4',
      ...{ promptTokens: BigInt(tokens), cachedPromptTokens: 0n, completionTokens: 0n },
      spend: '0',
    }
  }

  /** Calls that were read and have their account; all that began before now is known then. */
  async use(account: AccountNumber, ...uses: readonly Use[]): Promise<void> {
    await this.collect(uses.map((one) => [account, this.record(account, one)]))
  }

  async collect(
    called: readonly (readonly [AccountNumber, UsageRecord])[],
    untilMs = this.clock.now(),
  ): Promise<void> {
    await this.save(
      called.map(([, record]) => record),
      untilMs,
    )
    await this.attribute(called)
  }

  /** Records as they are read, all that began before an instant. */
  async save(records: readonly UsageRecord[], untilMs: number): Promise<void> {
    await this.store.records.addSource(SOURCE, 0)
    const slice = { records, rejects: [], range: { fromMs: 0, untilMs } }
    await this.store.records.saveSlice(SOURCE, slice, this.clock.now())
  }

  async attribute(called: readonly (readonly [AccountNumber, UsageRecord])[]): Promise<void> {
    await this.store.records.saveAttributions(
      'mapping',
      called.map(([account, { key, startedAtMs, model }]) => ({
        ...{ key, account, strategy: 'test', modelId: this.modelIds.get(model) ?? MODEL_ID },
        periodStart: this.periodOf(startedAtMs),
      })),
    )
  }

  periodOf(atMs: number): number {
    return periodAt(atMs, this.plan.periodKind).startsAt
  }

  /** A batch of all that waits. */
  async seal(): Promise<void> {
    await this.store.transaction(async (stores) => {
      const waiting = await stores.records.attributed('mapping', 100_000)
      if (waiting.length === 0) return
      this.#seq += 1n
      const id = batchId(this.#seq)
      const keys = new Map<string, EntryKey>(
        waiting.map(({ account, periodStart }) => [
          `${account}/${periodStart}`,
          { accountNumber: account, periodStart },
        ]),
      )
      const nothing = { bytes: '0x', leaf: ZERO_HASH, recordsRoot: ZERO_HASH } as const
      await stores.batches.add(
        {
          ...{ seq: batchSeq(this.#seq), root: ZERO_HASH, prevRoot: ZERO_HASH },
          ...{ sealedAt: 0, target: ZERO_HASH, manifest: ZERO_HASH },
        },
        '{}',
        [...keys.values()].map((key, position) => ({ ...key, position, ...nothing })),
      )
      for (const key of keys.values()) {
        const rows = await stores.totals.of(key)
        const after = changeRows(rows, await stores.records.waitingOf(key), 1n)
        await stores.totals.save(key, after, id)
      }
      await stores.records.claim(id, waiting)
    })
  }

  /** What is sealed is charged on Flow; `isSeen`: and read back from there. */
  async settle(isSeen = true): Promise<void> {
    const { batches, totals } = this.store
    for (;;) {
      const batch = await batches.oldestIn('sealed')
      if (batch === undefined) return
      const entries = await batches.entries(batch.id)
      for (const { accountNumber, periodStart } of entries) {
        const key = { accountNumber, periodStart }
        this.flow.apply(key, await totals.of(key), batch.header.seq)
      }
      if (!isSeen) return
      await this.#readBack(batch.id, entries)
    }
  }

  async #readBack(id: BatchId, entries: readonly EntryKey[]): Promise<void> {
    await this.store.transaction(async ({ batches, books }) => {
      for (const entry of entries) await batches.saveResult(id, entry, 'applied', 'tx')
      await batches.saveLife(id, { state: 'settled' })
      await books.saveApplied(await this.flow.applied(entries))
      const accounts = entries.map(({ accountNumber }) => accountNumber)
      await books.saveBalances(await this.flow.balances(accounts))
    })
  }

  parts(): BudgetsParts {
    const { store, flow, clock, settings } = this
    return { store, settler: flow, clock, settings, sourcesRead: [SOURCE] }
  }

  /** One look at all accounts. */
  async look(parts: Partial<BudgetsParts> = {}): Promise<void> {
    while ((await budgetsNext({ ...this.parts(), ...parts }, this.#pass, signal)) === 'advanced');
  }

  /** A new process remembers nothing. */
  restart(): void {
    this.#pass = {}
  }

  async state(account: AccountNumber): Promise<AccountState> {
    const [state] = await this.store.runways.of([account])
    if (state === undefined) throw new Error(`account ${account} was not looked at`)
    return state
  }

  /** Reasons that stand for an account. */
  async reasons(account: AccountNumber): Promise<string[]> {
    return (await this.store.holds.of(account)).map(({ reason }) => reason).sort()
  }
}
