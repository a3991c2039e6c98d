import { createAttestor, createMeterKey } from './attestors/index.js'
import type { Config } from './config.js'
import { keccak, utf8 } from './domain/bytes.js'
import { canonicalJson } from './domain/canonical-json.js'
import { metricsOf } from './http/metrics.js'
import { Readiness } from './http/ready.js'
import { startServer } from './http/server.js'
import { createMapping } from './mapping/index.js'
import { acceptNext } from './pipeline/accept.js'
import { anchorNext } from './pipeline/anchor.js'
import { attestNext } from './pipeline/attest.js'
import { type AttributeSettings, attributeNext } from './pipeline/attribute.js'
import { type CollectPass, collectNext } from './pipeline/collect.js'
import { bindIdentity } from './pipeline/identity.js'
import { checkMeter } from './pipeline/meter-guard.js'
import { type ReconcilePass, reconcileNext } from './pipeline/reconcile.js'
import { sealNext } from './pipeline/seal.js'
import { settleNext } from './pipeline/settle.js'
import { readStatus } from './pipeline/status.js'
import type { UsageSource } from './ports/usage-source.js'
import { Bell } from './runtime/bell.js'
import { systemClock as clock } from './runtime/clock.js'
import { startCron } from './runtime/cron.js'
import type { Logger } from './runtime/log.js'
import { ReleaseStack } from './runtime/release-stack.js'
import { runWorkers, type Worker } from './runtime/worker.js'
import { createSettler } from './settlers/index.js'
import { createSource } from './sources/index.js'
import { lockStore, openStore } from './store/index.js'
import { version } from './version.js'

/** The composition root: the only file that knows every adapter. Reads from top to bottom. */
export async function runApp(config: Config, log: Logger, shutdown: AbortSignal): Promise<void> {
  const resources = new ReleaseStack()
  try {
    resources.add(lockStore(config.databaseUrl, clock.now()))
    const store = openStore(config.databaseUrl, clock)
    resources.add(() => store.close())
    await store.migrate()

    const attestor = await createAttestor(config.attestor)
    const meterKey = await createMeterKey(config.attestor)
    const settler = await createSettler(config.settler)
    const sources = await Promise.all(
      config.sources.map((source) => createSource(source, config.secretOf)),
    )
    const identity = {
      flare_chain: attestor.identity.chainId.toString(),
      anchor: attestor.identity.anchorAddress,
      flow_network: settler.identity.network,
      target: settler.identity.target,
      provider: settler.identity.provider.toString(),
      meter: meterKey.address,
    }
    await bindIdentity(store.identity, identity)
    await checkMeter({ attestor, batches: store.batches, meter: meterKey.address }, shutdown)
    for (const { name } of sources) await store.records.addSource(name, collectFromMs(config))

    const readiness = new Readiness(clock)
    shutdown.addEventListener('abort', () => readiness.stop())
    const status = () => readStatus({ stores: store, clock, version, identity })
    const metrics = metricsOf(status)
    const server = await startServer({ config, status, readiness, metrics })
    resources.add(() => server.close())
    log.info({ version, ...identity, url: server.url }, 'flowmeter is running')

    const bells = {
      attribute: new Bell(),
      seal: new Bell(),
      anchor: new Bell(),
      attest: new Bell(),
      accept: new Bell(),
      settle: new Bell(),
      reconcile: new Bell(),
    }
    const idleMs = config.workerIntervalMs
    const attribution = attributeSettings(config)
    const collectors = sources.map((source): Worker => {
      const bell = new Bell()
      resources.add(startCron(config.pollCron, () => bell.ring()))
      return {
        name: `collect/${source.name}`,
        step: collectStep({ store, source, config }),
        idleMs: config.pollIntervalMs,
        bell,
        next: bells.attribute,
      }
    })
    const workers: Worker[] = [
      ...collectors,
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
              },
              checkMeter: (stop) =>
                checkMeter({ attestor, batches: store.batches, meter: meterKey.address }, stop),
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
          settleNext({ store, settler, entriesMax: config.settleEntriesMax }, signal),
        idleMs,
        bell: bells.settle,
        next: bells.reconcile,
      },
      {
        name: 'reconcile',
        step: reconcileStep({ store, settler, lanes: [attestor.lane, settler.lane], clock }),
        idleMs,
        bell: bells.reconcile,
        next: bells.attribute,
      },
    ]
    readiness.expect(workers)
    await runWorkers(workers, log, shutdown, (worker, result) => {
      readiness.note(worker, result)
      metrics.note(worker, result)
    })
  } finally {
    await resources.releaseAll()
  }
}

function collectStep({
  store,
  source,
  config,
}: {
  store: ReturnType<typeof openStore>
  source: UsageSource
  config: Config
}): Worker['step'] {
  const pass: CollectPass = {}
  const settings = { settleMs: config.settleMs, overlapMs: config.overlapMs }
  return (signal) => collectNext({ ...store, source, clock, settings }, pass, signal)
}

function reconcileStep(parts: Parameters<typeof reconcileNext>[0]): Worker['step'] {
  const pass: ReconcilePass = {}
  return (signal) => reconcileNext(parts, pass, signal)
}

function attributeSettings(config: Config): AttributeSettings {
  const { mapping, modelAliases, holdUnknownModels } = config
  const chain = mapping.chain.map((strategy) => JSON.stringify(strategy))
  const hold = holdUnknownModels ? 'hold' : 'other'
  return {
    payerField: mapping.payerField,
    map: createMapping(mapping),
    modelAliases,
    isUnknownModelHeld: holdUnknownModels,
    version: keccak(utf8(canonicalJson([mapping.payerField, chain, modelAliases, hold]))),
  }
}

function collectFromMs({ collectFrom }: Config): number {
  return collectFrom === 'now' ? clock.now() : Date.parse(collectFrom)
}
