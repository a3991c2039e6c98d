import { Random } from '../../../devnet/litellm/random.js'
import type { UsageTruth } from '../../../devnet/litellm/table.js'
import { START_MS, scheduleOf, type Tick } from './schedule.js'
import { type Daemon, type ProxyWorld, type Trace, World } from './world.js'

/** How a schedule ended. `wrong` says what does not hold, a sentence each. */
export interface Outcome {
  readonly seed: number
  /** All that the proxies logged from the beginning of our sources on. */
  readonly rows: number
  readonly lost: number
  readonly doubled: number
  readonly wrong: readonly string[]
}

const HOUR_MS = 3_600_000
/** The last row comes 24 hours late; then one more deep re-scan has to come. */
const REST_HOURS = 36
const REST_STEP_HOURS = 5

/** Plays one schedule to its end, and compares what we counted with what the proxies hold. */
export async function runSeed(seed: number, template: string, trace: Trace): Promise<Outcome> {
  const schedule = scheduleOf(seed)
  const world = new World(schedule, template, trace)
  const random = new Random(seed + 1)
  let daemon = await world.boot()
  try {
    for (const [i, tick] of schedule.ticks.entries()) {
      trace(`tick ${i}: ${new Date(world.trueMs + tick.ms).toISOString()} ${JSON.stringify(tick)}`)
      happen(world, tick, random)
      if (tick.crashAfter !== undefined) {
        await daemon.end()
        daemon = await world.boot(tick.crashAfter)
      }
      daemon = await runOrRestart(world, daemon)
    }
    await daemon.end()
    daemon = await world.boot()
    await comeToRest(world, daemon)
    return judge(seed, world)
  } finally {
    await daemon.end()
    world.remove()
  }
}

async function runOrRestart(world: World, daemon: Daemon): Promise<Daemon> {
  if (await daemon.run()) return daemon
  await daemon.end()
  return world.boot() // It stays down until the next tick, as a supervisor that waits.
}

function happen(world: World, tick: Tick, random: Random): void {
  world.trueMs += tick.ms
  world.ourSkewMs = tick.ourSkewMs ?? world.ourSkewMs
  for (const { litellm } of world.proxies) litellm.clearFaults()
  for (const fault of tick.faults) world.proxies[fault.instance]?.litellm.addFault(fault)
  if (tick.stops !== undefined) world.proxies[tick.stops]?.litellm.loseUnwritten()
  if (tick.tampering !== undefined) tamper(world, tick.tampering, random)
}

/** Only with rows that we have read: what vanishes before is lost to everybody. */
function tamper(world: World, how: NonNullable<Tick['tampering']>, random: Random): void {
  if (how === 'reappear') {
    const [name, one] = [...world.vanished][0] ?? []
    if (name === undefined || one === undefined) return
    one.proxy.litellm.setLogged(one.requestId, true)
    world.vanished.delete(name)
    return
  }
  const proxy = random.pick(world.proxies)
  const read = world.query(
    `select request_id as id from usage_records where source = ? order by request_id`,
    proxy.instance.name,
  ) as { id: string }[]
  if (read.length === 0) return
  if (how === 'retention') {
    deleteOld(world, proxy, random)
    return
  }
  const { id: requestId } = random.pick(read)
  const name = `${proxy.instance.name}/${requestId}`
  if (world.changed.has(name) || world.vanished.has(name)) return
  world.trace(`  ${how} ${name}`)
  // A twin that has not seen the row as it was would see another call.
  if (how === 'change' && proxy.sources.length === 1) {
    const more = { prompt_tokens: random.whole(10_000, 99_999) }
    const before = proxy.litellm.change(
      requestId,
      random.pick([more, { status: 'failure' }, { user: 'eve' }]),
    )
    if (before !== undefined) world.changed.set(name, { proxy, before })
  }
  if (how === 'vanish') {
    proxy.litellm.setLogged(requestId, false)
    world.vanished.set(name, { proxy, requestId })
  }
}

/** What the retention job does: by `startTime`. Rows that nobody has read are lost to everybody. */
function deleteOld(world: World, proxy: ProxyWorld, random: Random): void {
  const beforeMs = world.trueMs - random.pick([HOUR_MS / 6, HOUR_MS, 5 * HOUR_MS])
  const { name: source } = proxy.instance
  const old = world.query(
    `select request_id as id from usage_records where source = ? and started_at_ms < ${beforeMs}
      and request_id not like 'client-chosen%'`,
    source,
  ) as { id: string }[]
  world.trace(`  retention of ${source} deletes ${old.length} rows`)
  for (const { id: requestId } of old) {
    const name = `${source}/${requestId}`
    // An id that a client chose may come again; a changed row is compared as it was.
    if (world.changed.has(name) || proxy.sources.length > 1) continue
    proxy.litellm.setLogged(requestId, false)
    world.vanished.set(name, { proxy, requestId })
  }
}

/** Nothing goes wrong any more, and what is late comes. */
async function comeToRest(world: World, daemon: Daemon): Promise<void> {
  for (const { litellm } of world.proxies) litellm.clearFaults()
  world.ourSkewMs = 0
  for (let hours = 0; hours <= REST_HOURS; hours += REST_STEP_HOURS) {
    world.trueMs += REST_STEP_HOURS * HOUR_MS
    await daemon.run()
  }
}

/** Σ counted = Σ billable, by user and model, with SQL on both sides and none of it ours. */
function judge(seed: number, world: World): Outcome {
  for (const { proxy, requestId } of world.vanished.values()) {
    proxy.litellm.setLogged(requestId, true)
  }
  for (const { proxy, before } of world.changed.values()) {
    const { prompt_tokens, status, user } = before
    proxy.litellm.change(before.request_id, { prompt_tokens, status, user })
  }
  const sums = world.proxies.map((proxy) => compareSums(world, proxy))
  const rows = world.proxies.map((proxy) => compareRows(world, proxy))
  const all = [...sums, ...rows]
  const wrong = [...all.flatMap((one) => one.wrong), ...falseAlarms(world)]
  return {
    seed,
    rows: rows.reduce((sum, one) => sum + one.rows, 0),
    lost: all.reduce((sum, { lost }) => sum + lost, 0),
    doubled: all.reduce((sum, { doubled }) => sum + doubled, 0),
    wrong,
  }
}

interface Comparison {
  readonly lost: number
  readonly doubled: number
  readonly wrong: readonly string[]
}

type Sums = Map<string, readonly bigint[]>

function compareSums(world: World, { instance, litellm, sources }: ProxyWorld): Comparison {
  const truth = litellm.truth({
    fromMs: START_MS,
    withoutCacheHits: instance.cacheHits === 'exclude',
    withoutDisconnects: instance.clientDisconnects === 'exclude',
  })
  const counted = world.query(
    `select user, model, count(*) as requests, sum(prompt_tokens) as promptTokens,
      sum(cached_prompt_tokens) as cachedPromptTokens, sum(completion_tokens) as completionTokens
    from usage_records where excluded is null and source in (?, ?) group by user, model`,
    sources[0] ?? '',
    sources[1] ?? '',
  ) as UsageTruth[]
  const [expected, actual] = [sumsOf(truth), sumsOf(counted)]
  let [lost, doubled] = [0, 0]
  const wrong: string[] = []
  for (const key of new Set([...expected.keys(), ...actual.keys()])) {
    const [due, have] = [expected.get(key) ?? NONE, actual.get(key) ?? NONE]
    if (String(due) === String(have)) continue
    const missing = Number((due[0] ?? 0n) - (have[0] ?? 0n))
    // As many rows with other tokens: the wrong one was counted, which is one lost and one too many.
    lost += Math.max(missing, missing === 0 ? 1 : 0)
    doubled += Math.max(-missing, missing === 0 ? 1 : 0)
    wrong.push(`${instance.name}: ${key} should be ${due} and is ${have}`)
  }
  return { lost, doubled, wrong }
}

const NONE = [0n, 0n, 0n, 0n]

function sumsOf(rows: readonly UsageTruth[]): Sums {
  return new Map(
    rows.map((row) => [
      `${row.user}/${row.model}`,
      [row.requests, row.promptTokens, row.cachedPromptTokens, row.completionTokens],
    ]),
  )
}

/** Every row is a record or a reject, under every name that it was read by. */
function compareRows(
  world: World,
  { litellm, sources }: ProxyWorld,
): Comparison & { rows: number } {
  const ids = litellm.ids(START_MS)
  const wrong: string[] = []
  for (const source of sources) {
    const kept = world.query(
      `select request_id as id from usage_records where source = ?
      union all select distinct request_id from rejects where source = ?`,
      source,
      source,
    ) as { id: string }[]
    const have = new Set(kept.map(({ id }) => id))
    const missing = ids.filter((id) => !have.has(id))
    if (missing.length > 0) wrong.push(`${source}: never kept ${missing.join(', ')}`)
    if (kept.length !== have.size) wrong.push(`${source}: ${kept.length - have.size} kept twice`)
  }
  return { rows: ids.length, lost: 0, doubled: 0, wrong }
}

/** Only rows that somebody has changed are in quarantine. */
function falseAlarms(world: World): string[] {
  const rows = world.query('select source, request_id as id, differs from quarantine') as {
    source: string
    id: string
    differs: string
  }[]
  return rows
    .filter(({ source, id }) => !world.changed.has(`${source}/${id}`))
    .map(({ source, id, differs }) => `${source}/${id}: nobody changed its ${differs}`)
}
