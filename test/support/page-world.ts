import { accountNumber, batchId } from '../../src/domain/ids.js'
import { parseWad } from '../../src/domain/money.js'
import type { UsageRecord } from '../../src/domain/usage-record.js'
import { LitellmGateway } from '../../src/gateways/litellm/gateway.js'
import { metricsOf } from '../../src/http/metrics.js'
import { Readiness } from '../../src/http/ready.js'
import { type Server, type ServerParts, startServer } from '../../src/http/server.js'
import { budgetsNext } from '../../src/pipeline/budgets.js'
import { keysOf } from '../../src/pipeline/key-worker.js'
import { readStatus, type Status } from '../../src/pipeline/status.js'
import type { Store } from '../../src/ports/stores.js'
import { makeReport } from '../../src/reports/index.js'
import { FREE_TIER, SETTINGS } from './budget-world.js'
import { DEFAULT_LIMITS, newKey } from './keys.js'
import { EVENING_MS, SEPTEMBER_S, usageRecord } from './usage.js'
import { attributionOf, World } from './world.js'

const HOUR_MS = 3_600_000
const MODELS = [
  'gpt-4o',
  'claude-sonnet-4',
  'gpt-4o-mini',
  'claude-3-haiku',
  'text-embedding-3-small',
]
export const HOSTILE_USER =
  '<img src=x onerror="document.title=\'taken\'"><script>alert(1)</script>'
export const HOSTILE_MODEL = '"><svg onload=alert(1)>'

/** A day of usage that has gone its way through the real pipeline, and a server that shows it. */
export class PageWorld {
  readonly world: World
  readonly store: Store
  /** Laid over what the store says, as a running daemon would know it. */
  running: Pick<Status, 'prices' | 'workers' | 'storage'> = {
    prices: [
      {
        token: 'A.0ae53cb6e3f42a79.FlowToken.Vault',
        currency: 'usd',
        price: '0.412345678901234567',
        ageS: 340,
        source: 'BandPrices',
      },
    ],
    workers: [{ name: 'seal', state: 'ok' }],
    storage: { freeBytes: 81 * 2 ** 30, storeBytes: 37 * 2 ** 20 },
  }
  readonly #servers: Server[] = []

  private constructor(world: World, store: Store) {
    this.world = world
    this.store = store
  }

  static async create(): Promise<PageWorld> {
    const world = new World({ lanes: 2 })
    const store = await world.file.open()
    const made = new PageWorld(world, store)
    await made.#fill()
    return made
  }

  async #fill(): Promise<void> {
    const { world, store } = this
    for (const account of [1n, 7n, 42n, 3_110_863_829_004_614_707n]) {
      world.flow.openVault(account, SEPTEMBER_S, account === 42n ? 25_000_000n : 10n ** 15n)
    }
    await store.records.addSource('main', EVENING_MS - 24 * HOUR_MS)
    const users = ['1', '7', '42', '3110863829004614707']
    const rows = Array.from({ length: 480 }, (_, i): UsageRecord => {
      const startedAtMs = EVENING_MS - 18.5 * HOUR_MS + i * 174_000
      // More by day than at night, and not the same each hour.
      const hour = new Date(startedAtMs).getUTCHours()
      const weight = 2 + Math.round(6 * Math.sin(((hour - 5) / 24) * Math.PI) ** 2) + ((i * 7) % 5)
      return usageRecord(`call ${i}`, {
        user: users[(i * 5 + (i >> 2)) % 4] ?? '1',
        model: MODELS[(i * 7 + (i >> 3)) % 5] ?? 'gpt-4o',
        startedAtMs,
        promptTokens: BigInt(weight * 3_137 + i),
        cachedPromptTokens: BigInt(weight * 611),
        completionTokens: BigInt(weight * 911 + (i % 13)),
      })
    })
    const hostile = usageRecord('hostile', {
      user: HOSTILE_USER,
      model: HOSTILE_MODEL,
      startedAtMs: EVENING_MS - 5 * HOUR_MS,
      promptTokens: 40_000n,
    })
    world.use(...rows, hostile)
    const daemon = await world.boot()
    for (let hour = 0; hour < 5; hour += 1) {
      await daemon.runRounds(14)
      world.tick(HOUR_MS - 14 * 30_000)
    }
    await daemon.runRounds(2)
    world.use(usageRecord('newest', { user: '1', startedAtMs: world.clock.now() - 30_000 }))
    world.tick(90_000)
    await daemon.run('collect', 'attribute')
    await store.watch.saveWallet({
      wallet: 'flare',
      decimals: 18,
      address: `0x${'5a'.repeat(20)}`,
      balance: 41_234_567_890_123_456_789n,
    })
    await store.watch.saveWallet({
      wallet: 'flow',
      decimals: 8,
      address: '0xf8d6e0586b0a20c7',
      balance: 12_345_678_901n,
    })
    await store.watch.savePolicies({ newest: 4_211, inForce: 4_210, accepted: 4_210 })
  }

  /** Keys of two vaults: one with enough, a tier and a budget, and one that ran dry. */
  async manageKeys(): Promise<void> {
    const { store, world } = this
    const { clock, flow } = world
    const [rich, dry] = [accountNumber(7n), accountNumber(42n)]
    for (const account of [rich, dry]) await store.keys.add(newKey('laptop', { account }))
    await store.budgetTerms.saveTier(rich, 'team')
    const day = Math.floor(clock.now() / (24 * HOUR_MS))
    await store.budgetTerms.saveBudget(rich, {
      ...{ hard: parseWad('1000'), soft: parseWad('800'), currency: flow.plan.currency, days: 30 },
      fromDay: day - 3,
    })
    const price = { token: 'FLOW', currency: flow.plan.currency, price: parseWad('0.41') }
    await store.watch.savePrices([price])
    const quota = { requestsAnHour: null, requestsADay: 1_000n, tokensADay: null }
    const tiers = new Map([['team', { ...FREE_TIER, quota }]])
    const settings = { ...SETTINGS, tiers }
    const look = { store, settler: flow, clock, settings, sourcesRead: ['main'] }
    await budgetsNext(look, {}, new AbortController().signal)
  }

  /** What is not well: a batch parked, a vault held, a source that cannot be read. */
  async trouble(): Promise<void> {
    const { store, world } = this
    const last = await store.batches.last()
    const id = last?.id ?? batchId(1n)
    const from = last?.life ?? { state: 'settled' }
    await store.batches.saveLife(id, {
      state: 'parked',
      reason: 'not attested in 5 rounds: 1464112, 1464113, 1464114, 1464115, 1464116',
      from,
    })
    const key = { accountNumber: accountNumber(7n), periodStart: SEPTEMBER_S }
    await store.stops.add(key, 'above_history', 'charges 812.5 more, 31 times its dearest period')
    await store.records.saveProblem('main', 'source_refused', 'LiteLLM answered 401')
    world.clock.pass(25 * 60_000)
  }

  status(): Promise<Status> {
    const { store, world, running } = this
    const identity = { network: 'testnet', chain: 'coston2', meter: world.meterKey.address }
    return readStatus({
      ...{ stores: store, clock: world.clock, version: '0.1.0', identity },
      running: async () => running,
    })
  }

  /** Looked at alone here: their gateway is not there. */
  #keys() {
    const { store, world } = this
    const at = { name: 'main', apiUrl: 'http://127.0.0.1:9', adminKey: 'sk-none', timeoutMs: 100 }
    return keysOf({
      ...{
        store,
        clock: world.clock,
        gateway: new LitellmGateway(at),
        attribution: attributionOf(),
      },
      keys: { ...DEFAULT_LIMITS, perCustomer: 5, checkEveryMs: 300_000 },
      terms: SETTINGS,
    })
  }

  async serve(changes: Partial<ServerParts> = {}): Promise<Server> {
    const { store, world } = this
    const server = await startServer({
      config: { host: '127.0.0.1', port: 0, allowedIps: [] },
      status: () => this.status(),
      readiness: new Readiness(world.clock),
      metrics: metricsOf(() => this.status()),
      accessTokens: store.accessTokens,
      shown: store,
      keys: { ...this.#keys(), signal: new AbortController().signal },
      clock: world.clock,
      eventsEveryMs: 50,
      reports: {
        make: (question, signal) =>
          makeReport({ stores: store, clock: world.clock }, question, signal),
        now: () => world.clock.now(),
        payerField: 'user',
      },
      ...changes,
    })
    this.#servers.push(server)
    return server
  }

  async remove(): Promise<void> {
    for (const server of this.#servers) await server.close()
    await this.world.file.remove()
  }
}
