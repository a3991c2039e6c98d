import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchId } from '../../src/domain/ids.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import { mappingConfig } from '../../src/mapping/index.js'
import { type AttributeSettings, attributeNext } from '../../src/pipeline/attribute.js'
import { attributionSettings } from '../../src/pipeline/attribution-settings.js'
import { NO_BOUNDS } from '../../src/pipeline/bounds.js'
import { sealNext } from '../../src/pipeline/seal.js'
import type { Store } from '../../src/ports/stores.js'
import { defaultPlanAliases } from '../../src/pricing/default-plan.js'
import { SEPTEMBER_S } from './usage.js'
import { RECEIPT_SECRET, World } from './world.js'

export const signal = new AbortController().signal

/** A store with vaults 1 to 3 as the daemon has it, with a mapping and a rule of the test's own. */
export class MeteringWorld {
  readonly world: World
  readonly store: Store
  readonly folder = mkdtempSync(join(tmpdir(), 'flowmeter-metering-'))

  private constructor(world: World, store: Store) {
    this.world = world
    this.store = store
  }

  static async create(accounts: readonly bigint[] = [1n, 2n, 3n]): Promise<MeteringWorld> {
    const world = new World()
    for (const account of accounts) world.flow.openVault(account, SEPTEMBER_S)
    const daemon = await world.boot()
    await daemon.run('reconcile')
    return new MeteringWorld(world, daemon.store)
  }

  settings(mapping: object = {}, ruleVersion?: string): AttributeSettings {
    const config = {
      mapping: mappingConfig.parse(mapping),
      modelAliases: defaultPlanAliases,
      holdUnknownModels: false,
    }
    return attributionSettings(config, ruleVersion)
  }

  async insert(...records: readonly UsageRecord[]): Promise<void> {
    const readUntilMs = (await this.store.records.source('main'))?.readUntilMs ?? 0
    const range = { fromMs: 0, untilMs: readUntilMs }
    await this.store.records.saveSlice('main', { records, rejects: [], range }, 0)
  }

  async attribute(settings: AttributeSettings): Promise<void> {
    while ((await attributeNext({ ...this.store, settings })) === 'advanced');
  }

  /** Attributes and seals what can be, an hour after the last batch. */
  async seal(settings: AttributeSettings): Promise<void> {
    const last = await this.store.batches.last()
    // The chains are not what these tests are about.
    if (last !== undefined)
      await this.store.batches.saveLife(batchId(last.header.seq), { state: 'settled' })
    await this.attribute(settings)
    this.world.clock.pass(3_600_000)
    const { flow, clock } = this.world
    const rules = { intervalMs: 1, exposure: undefined }
    await sealNext(
      {
        store: this.store,
        clock,
        target: flow.identity.target,
        attribution: settings,
        settings: { rules, receiptSecret: RECEIPT_SECRET, bounds: NO_BOUNDS },
        sourcesRead: [],
        checkMeter: async () => {},
      },
      signal,
    )
  }

  /** By payer: the reason it waits for. */
  async waiting(): Promise<Record<string, string | undefined>> {
    const usages = await this.store.payers.waitingUsage('main', 'user')
    return Object.fromEntries(usages.map(({ payer, reason }) => [payer, reason]))
  }

  file(name: string, content: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, content)
    return path
  }

  async remove(): Promise<void> {
    await this.world.file.remove()
    rmSync(this.folder, { recursive: true })
  }
}
