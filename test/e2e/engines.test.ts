import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { followPlan } from '../../devnet/fault-plan.js'
import type { Proxied } from '../../devnet/fault-proxy.js'
import { EngineWorld } from './engine-world.js'

/*
 * The daemon as a process on real engines, and everything around it that can fail. One network for
 * all cases; after each of them everything is settled, once, for what it should cost, by the daemon's
 * own checks and by a reckoning that uses nothing of it.
 */

const run = promisify(execFile)
let world: EngineWorld

beforeAll(async () => {
  world = await EngineWorld.start()
  expect(await world.differences()).toEqual({})
})
afterAll(() => world?.stop())

const isSentToFlare = ({ body }: Proxied) => body.includes('eth_sendRawTransaction')
const isSentToFlow = ({ method, path }: Proxied) => method === 'POST' && path === '/v1/transactions'

// Goal: what was saved and not sent is sent by the next process, once. Method: the chain's door is
// held shut; the process dies while it stands before it, so the row is there and no byte has arrived.
test.each([
  ['Flare', () => world.flare, isSentToFlare],
  ['Flow', () => world.flow, isSentToFlow],
] as const)('kill -9 between save and send to %s', async (_, proxyOf, isMeant) => {
  const held = world.hold(proxyOf(), isMeant)
  world.use()
  await held.caught
  const status = await world.until('the saved row', ({ transactions }) =>
    transactions.some(({ fate }) => fate === 'open'),
  )
  const open = status.transactions.filter(({ fate }) => fate === 'open')
  await world.daemon.kill9()
  held.release()
  await world.restart()
  expect(await world.differences()).toEqual({})
  const { transactions } = await world.until('its fate', (now) =>
    open.every(({ id }) => now.transactions.find((tx) => tx.id === id)?.fate !== 'open'),
  )
  for (const { id } of open) expect(transactions.map((tx) => tx.id)).toContain(id)
})

test('the store is locked by another process', async () => {
  const file = join(world.dir, 'flowmeter.sqlite')
  const code = `
    import Database from 'better-sqlite3'
    globalThis.held = new Database(${JSON.stringify(file)}) // Else it is collected some time.
    globalThis.held.exec('begin immediate')
    setInterval(() => {}, 1000)
    console.log('held')`
  const args = ['--input-type=module', '-e', code]
  const holder = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  world.use()
  await world.until('the lock to be told', async () =>
    (await world.problems()).includes('store_busy'),
  )
  holder.kill('SIGKILL')
  expect(await world.differences()).toEqual({})
})

// Goal: a full disk undoes what was being written, and all goes on when there is space. Method: the
// system lets no file of the process grow beyond what the store's log has, and later does again.
test('the disk is full', async () => {
  const log = statSync(join(world.dir, 'flowmeter.sqlite-wal')).size
  const limit = (soft: string) =>
    run('prlimit', ['--pid', `${world.daemon.pid}`, `--fsize=${soft}:`])
  await limit(String(Math.floor(log / 2)))
  world.use()
  await world.until('the full disk to be told', async () =>
    (await world.problems()).includes('store_full'),
  )
  await limit('unlimited')
  expect(await world.differences()).toEqual({})
})

// Goal: the machine's clock is no witness. Method: a process whose `Date` is moved by a file, two
// hours back and two hours on, while usage comes in.
test('the clock jumps', async () => {
  const [offset, preload] = [join(world.dir, 'clock.txt'), join(world.dir, 'clock.mjs')]
  writeFileSync(offset, '0')
  writeFileSync(preload, clockOf(offset))
  await world.restart({ NODE_OPTIONS: `--import=${preload}` })
  for (const hours of [-2, 2]) {
    const before = (await world.until('a batch', () => true)).at
    writeFileSync(offset, String(hours * 3_600_000))
    await world.until('the new time', ({ at }) =>
      hours < 0 ? at < before : Date.parse(at) > Date.now() + 3_600_000,
    )
    world.use()
    await world.until('records of then', ({ records }) => records.total > 0)
    writeFileSync(offset, '0')
    expect(await world.differences()).toEqual({})
  }
  await world.restart()
})

function clockOf(file: string): string {
  return `
    import { readFileSync } from 'node:fs'
    const Real = Date
    let offset = 0
    const look = () => { offset = Number(readFileSync(${JSON.stringify(file)}, 'utf8')) || 0 }
    look()
    setInterval(look, 50).unref()
    globalThis.Date = class extends Real {
      constructor(...args) { args.length === 0 ? super(Real.now() + offset) : super(...args) }
      static now() { return Real.now() + offset }
    }`
}

test('the emulator dies while a batch is settled, and begins again', async () => {
  const held = world.hold(world.flow, isSentToFlow)
  world.use()
  await held.caught
  held.release()
  await world.restartEmulator()
  expect(await world.differences()).toEqual({})
})

// Goal: what a node took and lost is sent to it again. Method: nothing but the anchor waits for a block
// when the node dies, and it begins again with the blocks it had.
test('the EVM node dies while a batch is anchored, and begins again', async () => {
  const sent = world.seen(world.flare, isSentToFlare)
  const restarted = world.network.flare.restartNode(sent)
  world.use()
  await restarted
  expect(await world.differences()).toEqual({})
})

test('the EVM node hangs while a batch is anchored, and comes back', async () => {
  const anchor = world.hold(world.flare, isSentToFlare)
  world.use()
  await anchor.caught
  anchor.release()
  const everything = world.hold(world.flare, () => true)
  await world.until('the silence to be told', async () =>
    (await world.problems()).includes('attestor_unreachable'),
  )
  everything.release()
  expect(await world.differences()).toEqual({})
})

test('the nodes of both chains misbehave all the time', async () => {
  followPlan(world.flare, { seed: 7, rate: 0.05 })
  followPlan(world.flow, { seed: 8, rate: 0.05 })
  world.use()
  const differences = await world.differences()
  for (const proxy of [world.flare, world.flow]) {
    proxy.faultOf = () => undefined
    expect(proxy.struck.size).toBeGreaterThan(2)
  }
  expect(differences).toEqual({})
})
