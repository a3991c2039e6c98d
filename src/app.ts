import { createAttestor, createMeterKey } from './attestors/index.js'
import type { Config } from './config.js'
import { ConfigError, RetryableError } from './domain/errors.js'
import type { PaymentEvent } from './domain/payment.js'
import { createKeyGateway } from './gateways/index.js'
import { metricsOf } from './http/metrics.js'
import { Readiness } from './http/ready.js'
import { startServer } from './http/server.js'
import type { UsageHint } from './http/usage-hints.js'
import { createNotifiers } from './notifiers/index.js'
import { createDirectories, createRecordRule } from './operator/index.js'
import { createPaymentProviders, packagesOf } from './payments/index.js'
import { acceptNext } from './pipeline/accept.js'
import { anchorNext } from './pipeline/anchor.js'
import { attestNext } from './pipeline/attest.js'
import { attributeNext } from './pipeline/attribute.js'
import { attributionSettings } from './pipeline/attribution-settings.js'
import { auditWorkers } from './pipeline/audit-workers.js'
import type { ChargeBounds } from './pipeline/bounds.js'
import { budgetSettings } from './pipeline/budget-settings.js'
import { budgetWorker } from './pipeline/budget-worker.js'
import { chargeCreditsNext } from './pipeline/charge-credits.js'
import { collectWorkers } from './pipeline/collect-workers.js'
import { bindIdentity, identityOf } from './pipeline/identity.js'
import type { KeysParts } from './pipeline/key-orders.js'
import { keysOf, keyWorker } from './pipeline/key-worker.js'
import { checkMeter, checkMeterLevel } from './pipeline/meter-guard.js'
import { meteringWorkers } from './pipeline/metering-workers.js'
import { notifyWorkers } from './pipeline/notify-worker.js'
import { policiesNext } from './pipeline/policies.js'
import { type PricesParts, type PricesPass, priceStatus, pricesNext } from './pipeline/prices.js'
import { receiveUsage } from './pipeline/receive.js'
import { type ReconcilePass, reconcileNext } from './pipeline/reconcile.js'
import { sealNext } from './pipeline/seal.js'
import { settleNext } from './pipeline/settle.js'
import { readStatus } from './pipeline/status.js'
import { takePayment } from './pipeline/take-payment.js'
import { walletsNext } from './pipeline/wallets.js'
import type { UsageReceiver } from './ports/usage-receiver.js'
import { makeReport } from './reports/index.js'
import { Bell } from './runtime/bell.js'
import { systemClock as clock } from './runtime/clock.js'
import { startCron } from './runtime/cron.js'
import { laterRing } from './runtime/later-ring.js'
import type { Logger } from './runtime/log.js'
import { ReleaseStack } from './runtime/release-stack.js'
import { runWorkers, type Worker } from './runtime/worker.js'
import { createPrices, createSettler } from './settlers/index.js'
import { createControlTotals, createReceiver, createSource, isRead } from './sources/index.js'
import { lockStore, openStore, storageOf } from './store/index.js'
import { startTraces } from './traces/index.js'
import { version } from './version.js'

/** A policy comes every few hours, signed over some minutes. */
const POLICIES_IDLE_MS = 2_000
const WALLETS_IDLE_MS = 60_000
const PRICES_IDLE_MS = 30_000

/** The composition root: the only file that knows every adapter. Reads from top to bottom. */
export async function runApp(config: Config, log: Logger, shutdown: AbortSignal): Promise<void> {
  const resources = new ReleaseStack()
  try {
    resources.add(lockStore(config.databaseUrl, clock.now()))
    const store = openStore(config.databaseUrl, clock)
    resources.add(() => store.close())
    await store.migrate()

    const attestor = await createAttestor(config.attestor, store)
    const meterKey = await createMeterKey(config.attestor)
    const settler = await createSettler(config.settler)
    const prices = await createPrices(config.settler)
    const sources = await Promise.all(
      config.sources
        .filter(isRead)
        .map((source) => createSource(source, config.secretOf, store.readings)),
    )
    const sourcesRead = sources.map(({ name }) => name)
    const receivers = await createReceivers(config)
    const identity = identityOf(attestor, settler, meterKey)
    await bindIdentity(store.identity, identity)
    await meterKey.check?.()
    try {
      await checkMeter({ ...store, attestor, meter: meterKey.address }, shutdown)
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      // A chain that is silent now is no reason to be silent too: sealing looks again.
      log.warn({ code: error.code }, `the meter is not checked yet: ${error.message}`)
    }
    try {
      await settler.checkLanes(shutdown)
    } catch (error) {
      if (!(error instanceof RetryableError)) throw error
      // Each key is looked at again before it signs.
      log.warn({ code: error.code }, `the keys are not checked yet: ${error.message}`)
    }
    for (const { name, collectFrom = config.collectFrom } of config.sources) {
      await store.records.addSource(name, instantOf(collectFrom))
    }

    const readiness = new Readiness(clock)
    shutdown.addEventListener('abort', () => readiness.stop())
    const pricesPass: PricesPass = { seen: [], refusedAtMs: new Map() }
    const status = () =>
      readStatus({
        ...{ stores: store, clock, version, identity },
        limits: {
          sealIntervalMs: config.sealIntervalMs,
          sourcesRead,
        },
        running: async () => ({
          prices: priceStatus(pricesPass, clock.now()),
          workers: readiness.workers(),
          storage: await storageOf(config.databaseUrl),
        }),
      })
    const metrics = metricsOf(status)
    resources.add(() => metrics.end())
    const bells = {
      attribute: new Bell(),
      seal: new Bell(),
      anchor: new Bell(),
      attest: new Bell(),
      accept: new Bell(),
      settle: new Bell(),
      reconcile: new Bell(),
    }
    const hints = usageHints(config, resources)
    const keys = await createKeys(config, store, log)
    const receive = { records: store.records, clock }
    const server = await startServer({
      config,
      status,
      readiness,
      metrics,
      accessTokens: store.accessTokens,
      shown: store,
      clock,
      onBug: (error, route) => log.error({ err: error, route }, 'an HTTP request failed'),
      reports: {
        make: (question, signal) => makeReport({ stores: store, clock }, question, signal),
        now: () => clock.now(),
        payerField: config.mapping.payerField,
      },
      usageEvents: {
        receivers,
        receive: async (receiver, events) => {
          const received = await receiveUsage(receive, receiver, events)
          bells.attribute.ring()
          return received
        },
      },
      usageHints: [...hints.values()],
      ...paymentsOf(config, store),
      ...(keys === undefined ? {} : { keys: { ...keys, signal: shutdown } }),
      budgets: budgetOrders(config, store),
    })
    resources.add(() => server.close())
    // Behind the server: while the last of them are sent, probes are told that it ends.
    resources.add(await startTraces(config.traces, version, log))
    log.info({ version, ...identity, url: server.url }, 'flowmeter is running')

    const idleMs = config.workerIntervalMs
    const directories = await createDirectories(
      config.mapping.chain,
      config.secretOf,
      config.folder,
    )
    const rule = await createRecordRule(config.aggregation, config.folder)
    for (const { close } of rule === undefined ? directories : [...directories, rule]) {
      resources.add(close)
    }
    const controls = await Promise.all(
      config.sources.map((source) => createControlTotals(source, config.secretOf)),
    )
    const attribution = attributionSettings(config, rule?.version)
    const bellOf = (source: string): Bell => {
      const bell = hints.get(source)?.bell ?? new Bell()
      resources.add(startCron(config.pollCron, () => bell.ring()))
      return bell
    }
    const settlePass = {}
    const workers: Worker[] = [
      ...collectWorkers({
        ...{ store, clock, sources, settings: config, bellOf },
        idleMs: config.pollIntervalMs,
        next: bells.attribute,
      }),
      ...meteringWorkers({
        store,
        clock,
        directories,
        rule,
        controls: controls.filter((totals) => totals !== undefined),
        settings: attribution,
        attribute: bells.attribute,
        idleMs,
      }),
      {
        name: 'attribute',
        step: () => attributeNext({ ...store, settings: attribution }),
        idleMs,
        bell: bells.attribute,
        next: bells.seal,
      },
      {
        name: 'seal',
        step: (signal) =>
          sealNext(
            {
              store,
              clock,
              target: settler.identity.target,
              attribution,
              settings: {
                rules: { intervalMs: config.sealIntervalMs, exposure: config.sealExposure },
                receiptSecret: config.receiptSecret,
                bounds: boundsOf(config),
              },
              sourcesRead,
              checkMeter: (stop) =>
                checkMeterLevel({ ...store, attestor, meter: meterKey.address }, stop),
            },
            signal,
          ),
        idleMs,
        bell: bells.seal,
        next: bells.anchor,
      },
      {
        name: 'anchor',
        step: (signal) => anchorNext({ ...store, attestor, meterKey }, signal),
        idleMs,
        bell: bells.anchor,
        next: bells.attest,
      },
      {
        name: 'attest',
        step: (signal) => attestNext({ ...store, attestor, meter: meterKey.address }, signal),
        idleMs,
        bell: bells.attest,
        next: bells.accept,
      },
      {
        name: 'accept',
        step: (signal) => acceptNext({ ...store, attestor, settler }, signal),
        idleMs,
        bell: bells.accept,
        next: bells.settle,
      },
      {
        name: 'settle',
        step: (signal) =>
          settleNext(
            { store, settler, entriesMax: config.settleEntriesMax, pass: settlePass },
            signal,
          ),
        idleMs,
        bell: bells.settle,
        next: bells.reconcile,
      },
      {
        name: 'policies',
        step: (signal) => policiesNext({ ...store, follower: attestor, settler, clock }, signal),
        idleMs: Math.max(idleMs, POLICIES_IDLE_MS),
        bell: new Bell(),
      },
      {
        name: 'wallets',
        step: (signal) => walletsNext({ ...store, attestor, settler }, signal),
        idleMs: WALLETS_IDLE_MS,
        bell: new Bell(),
      },
      {
        name: 'prices',
        step: pricesStep({ ...store, prices, lanes: settler.lanes }, config.settler, pricesPass),
        idleMs: PRICES_IDLE_MS,
        bell: new Bell(),
      },
      {
        name: 'reconcile',
        step: reconcileStep({ store, settler, lanes: [attestor.lane, ...settler.lanes], clock }),
        idleMs,
        bell: bells.reconcile,
        next: bells.attribute,
      },
    ]
    const { receiptSecret } = config
    const audited = { store, history: attestor, settler, receiptSecret, clock }
    workers.push(...auditWorkers(audited, idleMs))
    const notifiers = await createNotifiers(config.notify, config.secretOf, () => clock.now())
    const alarms = async () => (await status()).alarms
    workers.push(...notifyWorkers({ store, clock, notifiers, alarms }, log))
    if (config.credits !== undefined) {
      const step = () => chargeCreditsNext({ store, clock })
      workers.push({ name: 'credits', step, idleMs, bell: new Bell() })
    }
    if (config.budgets !== undefined && keys !== undefined) {
      const settings = budgetSettings(config.budgets, idleMs)
      const follow = keyWorker(keys, idleMs)
      // What other sources show late is not used with keys that can be blocked.
      const own = sourcesRead.filter((name) => name === keys.gateway.name)
      const decide = budgetWorker({ store, settler, clock, settings, sourcesRead: own }, log)
      workers.push({ ...decide, next: follow.bell }, follow)
    }
    readiness.expect(workers)
    await runWorkers(workers, log, shutdown, (worker, result) => {
      readiness.note(worker, result)
      metrics.note(worker, result)
    })
  } finally {
    await resources.releaseAll()
  }
}

/** What keys are managed with; undefined where the settings manage none. */
async function createKeys(
  config: Config,
  store: ReturnType<typeof openStore>,
  log: Logger,
): Promise<KeysParts | undefined> {
  const { budgets, sources, secretOf, workerIntervalMs } = config
  if (budgets === undefined) return undefined
  const gateway = await createKeyGateway(budgets, sources, secretOf)
  const terms = budgetSettings(budgets, workerIntervalMs)
  const attribution = attributionSettings(config)
  return keysOf({ store, gateway, clock, attribution, keys: budgets.keys, terms, log })
}

/** What may be said over HTTP about what keys may use. */
function budgetOrders({ budgets, workerIntervalMs }: Config, store: ReturnType<typeof openStore>) {
  return budgets && { store, clock, terms: budgetSettings(budgets, workerIntervalMs) }
}

/** Where prepaid credits can be bought. */
function paymentsOf({ credits, secretOf }: Config, store: ReturnType<typeof openStore>) {
  if (credits === undefined) return {}
  const packages = packagesOf(credits)
  const take = (event: PaymentEvent) => takePayment({ store, clock, packages }, event)
  return { payments: { providers: createPaymentProviders(credits, secretOf), take, clock } }
}

function pricesStep(
  parts: Omit<PricesParts, 'clock' | 'refreshMs'>,
  { priceRefreshSeconds }: Config['settler'],
  pass: PricesPass,
): Worker['step'] {
  const refreshMs = priceRefreshSeconds === undefined ? undefined : priceRefreshSeconds * 1_000
  return (signal) => pricesNext({ ...parts, clock, refreshMs }, pass, signal)
}

function reconcileStep(parts: Parameters<typeof reconcileNext>[0]): Worker['step'] {
  const pass: ReconcilePass = {}
  return (signal) => reconcileNext(parts, pass, signal)
}

/** The sources that send. Their tokens tell them apart, so no two may be alike. */
async function createReceivers({ sources, secretOf }: Config): Promise<UsageReceiver[]> {
  const made = await Promise.all(sources.map((source) => createReceiver(source, secretOf)))
  const receivers = made.filter((receiver) => receiver !== undefined)
  if (new Set(receivers.map(({ token }) => token)).size === receivers.length) return receivers
  const names = receivers.map(({ name }) => name).join(', ')
  throw new ConfigError('usage_token', `The sources ${names} need a token each: two are the same.`)
}

/** By source: a bell that its gateway may ring, and that rings again when rows have settled. */
function usageHints(
  { sources, secretOf, settleMs }: Config,
  resources: ReleaseStack,
): Map<string, UsageHint & { readonly bell: Bell }> {
  const hints = new Map<string, UsageHint & { readonly bell: Bell }>()
  for (const { name, hintTokenEnv } of sources) {
    if (hintTokenEnv === undefined) continue
    const bell = new Bell()
    const { ring: wake, stop } = laterRing(bell, settleMs)
    resources.add(stop)
    hints.set(name, { source: name, token: secretOf(hintTokenEnv), wake, bell })
  }
  return hints
}

function boundsOf({ holdMultiple, holdAbove, holdDayLimit }: Config): ChargeBounds {
  return {
    above: holdAbove,
    ...(holdMultiple === 0 ? {} : { multiple: BigInt(holdMultiple) }),
    ...(holdDayLimit === undefined ? {} : { dayLimit: holdDayLimit }),
  }
}

function instantOf(collectFrom: string): number {
  return collectFrom === 'now' ? clock.now() : Date.parse(collectFrom)
}
