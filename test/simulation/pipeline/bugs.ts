import type { EntryKey } from '../../../src/domain/usage-total.js'
import type { Lane } from '../../../src/ports/lane.js'
import type { Store, Stores } from '../../../src/ports/stores.js'
import { addMoney, chargeAnyway, runWithout } from './broken-contracts.js'
import type { Daemon } from './daemon.js'
import { EXPIRY_BLOCKS } from './models/flow.js'
import type { FlowLane } from './models/flow-lane.js'
import { resendCorrections } from './operator.js'
import type { Bug } from './run.js'

type Ports = Daemon['ports']

/** Some methods of an object in other words; the rest as it was, asked of the object itself. */
export function changed<Thing extends object>(thing: Thing, changes: Partial<Thing>): Thing {
  return new Proxy(thing, {
    get: (target, name) => {
      if (Object.hasOwn(changes, name)) return Reflect.get(changes, name)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A bug in what one worker or command, or each of them, has of the store. */
function inStore(change: (store: Store) => Store, worker?: string): Bug {
  return {
    wiring: () => ({
      store: (store, name) =>
        worker === undefined || name.startsWith(worker) ? (change(store as never) as never) : store,
      ports: (ports) => ports,
    }),
  }
}

function inPorts(change: (ports: Ports) => Ports): Bug {
  return { wiring: () => ({ store: (store) => store, ports: (ports) => change(ports) as never }) }
}

function withLanes(settler: Ports['settler'], change: (lane: Lane) => Lane): Ports['settler'] {
  const [first, ...more] = settler.lanes
  return changed(settler, { lanes: [change(first), ...more.map(change)] })
}

/** Inside of transactions too. */
function inSlices(change: (stores: Stores) => Partial<Stores>, worker: string): Bug {
  return inStore(
    (store) =>
      changed(store, {
        ...change(store),
        transaction: (work) => store.transaction((stores) => work(changed(stores, change(stores)))),
      }),
    worker,
  )
}

/** One that only a store that was lost and restored can show. */
function afterRestore(bug: Bug): Bug {
  return { ...bug, mayShow: ({ restore }) => restore !== undefined }
}

/** Mistakes that could be made, each planted alone: `--bug NAME`. None of them is in `src`. */
export const BUGS = {
  'cursor-before-rows': inStore((store) => {
    const { records } = store
    return changed(store, {
      records: changed(records, {
        async saveSlice(source, slice, readAtMs) {
          await records.saveSlice(source, { ...slice, records: [], rejects: [] }, readAtMs)
          return records.saveSlice(source, slice, readAtMs)
        },
      }),
    })
  }, 'collect'),

  'missing-dedupe': inStore((store) => {
    const { records } = store
    const stamped = (requestId: string, readAtMs: number) => `${requestId} of ${readAtMs}`
    return changed(store, {
      records: changed(records, {
        saveSlice: (source, slice, readAtMs) =>
          records.saveSlice(
            source,
            {
              ...slice,
              records: slice.records.map((record) => ({
                ...record,
                key: { ...record.key, requestId: stamped(record.key.requestId, readAtMs) },
              })),
            },
            readAtMs,
          ),
      }),
    })
  }, 'collect'),

  'twins-forgotten': inStore((store) => {
    const { records } = store
    return changed(store, {
      records: changed(records, {
        saveSlice: (source, slice, readAtMs) =>
          records.saveSlice(source, { ...slice, areIdsGlobal: false }, readAtMs),
      }),
    })
  }, 'collect'),

  'send-before-save': inPorts((ports) => {
    const eager = (lane: Lane): Lane =>
      changed(lane, {
        async sign(call, signal) {
          const tx = await lane.sign(call, signal)
          await lane.send(tx, signal)
          return tx
        },
      })
    return { ...ports, settler: withLanes(ports.settler, eager) }
  }),

  /** An old tutorial's rule: what has no result after a tenth of the time never will have one. */
  'wrong-expiry-rule': inPorts((ports) => {
    const hasty = (lane: Lane): Lane =>
      changed(lane, {
        async fate(tx, signal) {
          const fate = await lane.fate(tx, signal)
          if (fate !== 'open') return fate
          const { refHeight } = JSON.parse(tx.bytes) as { refHeight: number }
          const height = await ports.settler.sealedHeight(signal)
          return height > refHeight + EXPIRY_BLOCKS / 10 ? (lane as FlowLane).giveUp(tx) : 'open'
        },
      })
    return { ...ports, settler: withLanes(ports.settler, hasty) }
  }),

  'double-apply': { world: (world) => addMoney(world) },

  'changed-models-only': inSlices((stores) => {
    const { records, totals } = stores
    const models = new Map<string, Set<number>>()
    return {
      records: changed(records, {
        async attributed(version, limit) {
          const found = await records.attributed(version, limit)
          models.clear()
          for (const { account, periodStart, modelId } of found) {
            const name = `${account}/${periodStart}`
            models.set(name, (models.get(name) ?? new Set()).add(modelId))
          }
          return found
        },
      }),
      totals: changed(totals, {
        async of(key: EntryKey) {
          const own = models.get(`${key.accountNumber}/${key.periodStart}`)
          const rows = await totals.of(key)
          return own === undefined ? rows : rows.filter(({ modelId }) => own.has(modelId))
        },
      }),
    }
  }, 'seal'),

  'seal-not-atomic': inStore(
    (store) => changed(store, { transaction: (work) => work(store) }),
    'seal',
  ),

  'plan-of-wrong-period': { world: (world) => runWithout(world, 'plan of the period') },
  'correction-replayed': { world: (world) => resendCorrections(world) },
  /** A release of some charge is one of any. */
  'released-for-ever': inSlices(({ stops }) => {
    const released = async () => ({ atMs: 0, upTo: 1n << 120n })
    return { stops: changed(stops, { released }) }
  }, 'seal'),

  /** Adoption takes the sources for read, so that what only the lost store had stays unread. */
  'lost-rows-not-read': afterRestore(
    inSlices(({ books, records }) => {
      const saveAdoption: typeof books.saveAdoption = async (adoption) => {
        for (const { name, readUntilMs } of await records.sources()) {
          const untilMs = adoption?.atMs ?? readUntilMs
          const slice = { records: [], rejects: [], range: { fromMs: readUntilMs, untilMs } }
          await records.saveSlice(name, slice, untilMs)
        }
        return books.saveAdoption(adoption)
      }
      return { books: changed(books, { saveAdoption }) }
    }, 'adopt'),
  ),

  /** After an adoption, what was read so far is sealed, though Flow has applied more. */
  'adoption-not-waited': afterRestore(
    inSlices(({ books }) => {
      return { books: changed(books, { adoption: async () => undefined }) }
    }, 'seal'),
  ),

  'limit-ignored': { world: (world) => chargeAnyway(world, 'limit') },
  'closed-vault-charged': { world: (world) => chargeAnyway(world, 'closing') },

  /** Whatever Flow made of an entry, it is taken for applied. */
  'held-taken-for-applied': inPorts((ports) => {
    const { settler } = ports
    const settledSince: typeof settler.settledSince = async (height, signal) => {
      const page = await settler.settledSince(height, signal)
      return { ...page, events: page.events.map((event) => ({ ...event, result: 'applied' })) }
    }
    return { ...ports, settler: changed(settler, { settledSince }) }
  }),

  'old-meter-accepted': { world: (world) => runWithout(world, 'meter') },
} satisfies Readonly<Record<string, Bug>>

export type BugName = keyof typeof BUGS
