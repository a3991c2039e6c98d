import { KEYS } from './auth.js'
import { type NewCall, type StoredCall, storedCall } from './calls.js'
import { type Fault, FaultPlan } from './faults.js'
import type { MetadataSize } from './metadata.js'
import { type ModelCall, ModelCalls } from './model-calls.js'
import { Random } from './random.js'
import { Routes } from './routes.js'
import {
  answerDirectly,
  type DirectAnswer,
  type DirectRequest,
  listen,
  type RunningServer,
  type SeenRequest,
  type ServerParts,
} from './server.js'
import { SpendTable, type TruthRange, type UsageTruth } from './table.js'
import { makeTraffic, type TrafficPlan } from './traffic.js'
import { type LitellmVersion, traitsOf } from './versions.js'
import { VirtualKeys } from './virtual-keys.js'

export interface LitellmOptions {
  /** Folder for the SQL table; in memory unless given. Traffic is made only for an empty table. */
  readonly dir?: string
  readonly version?: LitellmVersion
  readonly traffic?: TrafficPlan
  /** The proxy's clock in UTC milliseconds, before `advance`; the machine's unless given. */
  readonly nowMs?: () => number
  /** 0, which takes a free one, unless given. */
  readonly port?: number
  readonly metadata?: MetadataSize
  /** `metadata` and `request_tags` as JSON text in place of objects. */
  readonly isJsonText?: boolean
  /** Ties of the sort key change their order from answer to answer, as after a plan change. */
  readonly isTieOrderShifting?: boolean
  /** By how much its Date header is ahead of its clock. Stamping rows so is up to who makes them. */
  readonly clockSkewMs?: () => number
}

/** A stand-in without HTTP around it. */
export interface DirectLitellm extends Omit<Litellm, 'url' | 'stop' | 'addReplica'> {
  /** One request, a GET unless told. Undefined where a client would see a connection without a whole answer. */
  ask(url: URL, authorization: string, sent?: DirectRequest): DirectAnswer | undefined
  /** Overwrites columns of a row, as somebody with SQL can. Returns the row as it was. */
  change(requestId: string, columns: Partial<StoredCall>): StoredCall | undefined
  /** Takes a row away or brings it back, as a restored backup does. */
  setLogged(requestId: string, isLogged: boolean): void
  /** Ids of all rows that can be read now and started at or after an instant. */
  ids(fromMs: number): string[]
  close(): void
}

export interface Litellm {
  readonly url: string
  /** Starts one more proxy on the same database, with a memory of its own for keys; its address. */
  addReplica(): Promise<string>
  readonly masterKey: string
  readonly viewerKey: string
  /** Sees no rows but its own, which are none. */
  readonly internalUserKey: string
  /** May call models only. */
  readonly modelKey: string
  nowMs(): number
  /** Moves the clock on. Rows appear at the end of their call plus the write lag. */
  advance(ms: number): void
  /** Returns their request ids. An id that is taken is dropped in silence, as LiteLLM does. */
  insertRows(calls: readonly NewCall[]): string[]
  /** Billable usage by user and model, computed by SQL straight from the table. */
  truth(range?: TruthRange): UsageTruth[]
  /** Misbehaves from the next request on. Returns what ends it. */
  addFault(fault: Fault): () => void
  clearFaults(): void
  /** Calls a model with a virtual key; the status that the caller sees. Served calls become rows. */
  call(call: ModelCall): number
  /** What the retention job does. */
  deleteBefore(startMs: number): void
  /** What a stop of the proxy did before 1.104: ended calls without a row never get one. */
  loseUnwritten(): number
  /** The latest requests, oldest first. */
  requests(): readonly SeenRequest[]
  stop(): Promise<void>
}

const SEEN_MAX = 10_000
const DEFAULT_SEED = 1

/** Starts a stand-in for the LiteLLM proxy that answers as the genuine one was recorded to. */
export async function startLitellm(options: LitellmOptions = {}): Promise<Litellm> {
  const { proxy, table, parts } = makeProxy(options)
  const server = await listen(parts, options.port ?? 0)
  const replicas: RunningServer[] = []
  return {
    ...proxy,
    url: server.url,
    addReplica: async () => {
      const replica = await listen({ ...parts, replica: replicas.length + 1 }, 0)
      replicas.push(replica)
      return replica.url
    },
    stop: async () => {
      await Promise.all([server, ...replicas].map((each) => each.stop()))
      table.close()
    },
  }
}

/** The same stand-in, to be asked without HTTP: thousands of them in a simulation. */
export function directLitellm(options: LitellmOptions = {}): DirectLitellm {
  const { proxy, table, parts } = makeProxy(options)
  return {
    ...proxy,
    ask: (url, authorization, sent) => answerDirectly(parts, url, authorization, sent),
    change: (requestId, columns) => table.change(requestId, columns),
    setLogged: (requestId, isLogged) => table.setLogged(requestId, isLogged),
    ids: (fromMs) => table.ids(fromMs, proxy.nowMs()),
    close: () => table.close(),
  }
}

function makeProxy(options: LitellmOptions): {
  readonly proxy: Omit<Litellm, 'url' | 'stop' | 'addReplica'>
  readonly table: SpendTable
  readonly parts: ServerParts
} {
  const traits = traitsOf(options.version ?? '1.96.2')
  const random = new Random(options.traffic?.seed ?? DEFAULT_SEED)
  const table = new SpendTable(options.dir)
  const faults = new FaultPlan()
  const requests: SeenRequest[] = []
  let advancedMs = 0
  const nowMs = () => (options.nowMs ?? Date.now)() + advancedMs

  const insertRows = (calls: readonly NewCall[]): string[] => {
    const rows = calls.map((call) => storedCall(call, random, traits))
    table.insert(rows)
    return rows.map((row) => row.request_id)
  }
  if (options.traffic !== undefined && table.isEmpty()) {
    insertRows(makeTraffic(options.traffic, random, traits))
  }
  const keys = new VirtualKeys()
  const { version } = traits
  const modelCalls = new ModelCalls({
    keys,
    version,
    nowMs,
    insert: (call) => {
      insertRows([call])
    },
  })
  const routes = new Routes({
    table,
    keyRoutes: { keys, random, version, nowMs },
    modelCalls,
    style: {
      traits,
      metadata: options.metadata ?? 'full',
      isJsonText: options.isJsonText ?? false,
    },
    nowMs,
    isTieOrderShifting: options.isTieOrderShifting ?? false,
    insertLate: (fault) => {
      if (fault.kind === 'lateRows') insertRows(fault.calls)
    },
  })
  const seen = (request: SeenRequest): void => {
    requests.push(request)
    if (requests.length > SEEN_MAX) requests.shift()
  }
  const dateMs = () => nowMs() + (options.clockSkewMs?.() ?? 0)

  const proxy: Omit<Litellm, 'url' | 'stop' | 'addReplica'> = {
    masterKey: KEYS.master,
    viewerKey: KEYS.viewer,
    internalUserKey: KEYS.internalUser,
    modelKey: KEYS.model,
    nowMs,
    advance: (ms) => {
      advancedMs += ms
    },
    insertRows,
    call: (call) => modelCalls.answer(call).status,
    truth: (range = {}) => table.truth(range, nowMs()),
    addFault: (fault) => faults.add(fault),
    clearFaults: () => faults.clear(),
    deleteBefore: (startMs) => table.deleteBefore(startMs),
    loseUnwritten: () => table.loseUnwritten(nowMs()),
    requests: () => requests,
  }
  return { proxy, table, parts: { routes, faults, dateMs, seen } }
}
