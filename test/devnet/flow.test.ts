import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findEmulator } from '../../devnet/flow/binary.js'
import {
  address,
  bool,
  bytes,
  dictionary,
  formatUfix64,
  optional,
  type Plain,
  parseUfix64,
  path,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import { type FlowAccount, FlowClient } from '../../devnet/flow/client.js'
import { type Emulator, startEmulator } from '../../devnet/flow/emulator.js'
import { SERVICE_ACCOUNT, TRANSFER_FLOW } from '../../devnet/flow/system.js'
import { newPrivateKey, publicKeyOf } from '../../devnet/flow/transaction.js'
import { freePorts } from '../../devnet/ports.js'
import { startFaultProxy } from '../settlers/flow/fault-proxy.js'
import { PATIENTLY } from '../support/patience.js'

const FLOW = 10n ** 8n
const DAY_MS = 86_400_000
const NOW_SCRIPT = 'access(all) fun main(): UFix64 { return getCurrentBlock().timestamp }'
/** What mainnet takes for being included, in 1e-8 FLOW. */
const INCLUSION_FEE = 10_000n
/** What mainnet takes for a computation unit, in 1e-8 FLOW. */
const UNIT_FEE = 4_000n

const dir = mkdtempSync(join(tmpdir(), 'flowmeter-flow-'))
let emulator: Emulator
let client: FlowClient

beforeAll(async () => {
  emulator = await startEmulator({ dir, blockTimeMs: 200 })
  client = emulator.client
})

afterAll(async () => {
  await emulator?.stop()
  rmSync(dir, { recursive: true, force: true })
})

describe('accounts', () => {
  test('a new account has its FLOW and as many keys as asked for', async () => {
    const privateKey = newPrivateKey()
    const account = await client.createAccount({ keys: 3, fundFlow: '2.5', privateKey })
    // The protocol puts 0.001 FLOW into every new account, for its storage.
    expect(await client.balance(account.address)).toBe((25n * FLOW) / 10n + FLOW / 1000n)
    for (const index of [0, 1, 2]) {
      const key = await client.accountKey(account.address, index)
      const publicKey = publicKeyOf(privateKey)
      expect(key).toEqual({ index, publicKey, sequenceNumber: 0n, weight: 1000, revoked: false })
    }
    await expect(client.accountKey(account.address, 3)).rejects.toThrow()
  })
})

describe('transactions', () => {
  let alice: FlowAccount
  let bob: FlowAccount

  beforeAll(async () => {
    alice = await client.createAccount({ keys: 4, fundFlow: '10.0' })
    bob = await client.createAccount({ fundFlow: '1.0' })
  })

  test('a transfer moves FLOW, costs the fee of mainnet, and uses up a sequence number', async () => {
    const before = await balances(alice, bob)
    const { sequenceNumber } = await client.accountKey(alice.address, 0)
    const args = [address(bob.address), ufix64('1.25')]
    const sent = await client.send({ cadence: TRANSFER_FLOW, args, signers: [alice] })

    expect(sent.error).toBeNull()
    expect(sent.computation).toBeGreaterThan(0n)
    expect(sent.fee).toBe(INCLUSION_FEE + sent.computation * UNIT_FEE)
    const [a = 0n, b = 0n] = await balances(alice, bob)
    expect([a, b]).toEqual([
      (before[0] ?? 0n) - (125n * FLOW) / 100n - sent.fee,
      (before[1] ?? 0n) + (125n * FLOW) / 100n,
    ])
    expect(sent.events.find((event) => event.name === 'FlowToken.TokensDeposited')).toEqual({
      type: 'A.0ae53cb6e3f42a79.FlowToken.TokensDeposited',
      name: 'FlowToken.TokensDeposited',
      fields: { amount: (125n * FLOW) / 100n, to: bob.address },
    })
    expect((await client.accountKey(alice.address, 0)).sequenceNumber).toBe(sequenceNumber + 1n)
    const seen = await client.events(sent.events[0]?.type ?? '', sent.blockHeight, sent.blockHeight)
    expect(seen).toContainEqual(sent.events[0])
  })

  test('one that fails says why, changes nothing, and is paid for all the same', async () => {
    const before = await balances(alice, bob)
    const args = [address(bob.address), ufix64('1000.0')]
    const sent = await client.send({ cadence: TRANSFER_FLOW, args, signers: [alice] })
    expect(sent.error).toContain('Error Code: 1101')
    expect(sent.error).toContain('amount')
    expect(sent.fee).toBeGreaterThan(0n)
    expect(await balances(alice, bob)).toEqual([(before[0] ?? 0n) - sent.fee, before[1]])
    await expect(
      client.sendOrThrow({ cadence: TRANSFER_FLOW, args, signers: [alice] }),
    ).rejects.toThrow(`failed: [Error Code: 1101]`)
  })

  // Goal: every role may be another account, which is what payload signatures are for.
  test('proposer, payer and two authorizers can be four accounts', async () => {
    const [carol, dave] = [await client.createAccount(), await client.createAccount()]
    const before = await balances(alice, bob, carol, dave)
    const sent = await client.send({
      cadence: `transaction {
        prepare(first: &Account, second: &Account) {
          assert(first.address == ${bob.address} && second.address == ${dave.address})
        }
      }`,
      signers: [bob, dave],
      proposer: carol,
      payer: alice.key(1),
    })
    expect(sent.error).toBeNull()
    const after = await balances(alice, bob, carol, dave)
    expect(after).toEqual([(before[0] ?? 0n) - sent.fee, ...before.slice(1)])
    expect((await client.accountKey(carol.address, 0)).sequenceNumber).toBe(1n)
  })

  test('a payer may propose with another of its keys', async () => {
    const cadence = 'transaction { prepare(account: &Account) {} }'
    const parts = { proposer: alice.key(2), payer: alice.key(3) }
    const sent = await client.send({ cadence, signers: [alice.key(3)], ...parts })
    expect(sent.error).toBeNull()
    expect((await client.accountKey(alice.address, 2)).sequenceNumber).toBe(1n)
    expect((await client.accountKey(alice.address, 3)).sequenceNumber).toBe(0n)
  })

  test('many at once, over one key and over several, all land', async () => {
    const cadence = 'transaction(n: Int) { prepare(account: &Account) { log(n) } }'
    const all = Array.from({ length: 12 }, (_, n) =>
      client.send({ cadence, args: [uint('Int', n)], signers: [alice.key(n % 4)] }),
    )
    const errors = (await Promise.all(all)).map(({ error }) => error)
    expect(errors).toEqual(Array(12).fill(null))
  })

  test('one too large for the node is refused with its words', async () => {
    const cadence = 'transaction { prepare(account: &Account) {} }'
    await expect(client.send({ cadence, signers: [alice], computeLimit: 10_000 })).rejects.toThrow(
      /limit/,
    )
  })
})

describe('scripts', () => {
  test('take arguments, resolve imports and give plain values', async () => {
    const cadence = `
      import "FlowToken"
      access(all) struct Pair { access(all) let a: UInt64; access(all) let b: [UFix64?]
        init(_ a: UInt64, _ b: UFix64) { self.a = a; self.b = [b, nil] } }
      access(all) fun main(a: UInt64, b: UFix64): {String: Pair} {
        assert(FlowToken.totalSupply > 0.0)
        return {"pair": Pair(a, b)}
      }`
    const args = [uint('UInt64', 2n ** 64n - 1n), ufix64('0.00000001')]
    const wanted: Plain = new Map([['pair', { a: 2n ** 64n - 1n, b: [1n, null] }]])
    expect(await client.script(cadence, args)).toEqual(wanted)
  })

  // Goal: the decoder reads what the emulator really writes, for every kind of value there is.
  test('values of all kinds are decoded', async () => {
    const cadence = `
      import "FlowToken"
      access(all) enum Colour: UInt8 { access(all) case red; access(all) case green }
      access(all) struct S { access(all) let n: Int; init() { self.n = -7 } }
      access(all) fun main(key: [UInt8], who: Address, maybe: String?, on: Bool,
        path: PublicPath, table: {String: UInt8}): [AnyStruct] {
        let account = getAuthAccount<auth(Capabilities) &Account>(who)
        return [
          key, who, maybe, on, path, table, S(), Colour.green, -1.5, "é" as Character,
          Type<@FlowToken.Vault>(), UInt256.max, Word64.max, Int128.min, [1 as Int8, nil], nil,
          account.capabilities.storage.issue<&FlowToken.Vault>(/storage/flowTokenVault)
        ]
      }`
    const args = [
      bytes(Uint8Array.of(0, 255)),
      address(SERVICE_ACCOUNT.address),
      optional(string('a "quoted" text')),
      bool(true),
      path('public', 'flowTokenReceiver'),
      dictionary([[string('seven'), uint('UInt8', 7)]]),
    ]
    const values = (await client.script(cadence, args)) as readonly Plain[]
    expect(values.slice(0, -1)).toEqual([
      [0n, 255n],
      SERVICE_ACCOUNT.address,
      'a "quoted" text',
      true,
      '/public/flowTokenReceiver',
      new Map([['seven', 7n]]),
      { n: -7n },
      1n,
      -150_000_000n,
      'é',
      'A.0ae53cb6e3f42a79.FlowToken.Vault',
      2n ** 256n - 1n,
      2n ** 64n - 1n,
      -(2n ** 127n),
      [1n, null],
      null,
    ])
    expect(values.at(-1)).toMatchObject({ address: SERVICE_ACCOUNT.address })
  })

  test('one that fails throws what Cadence says', async () => {
    const cadence = 'access(all) fun main(): Int { panic("no such vault") }'
    await expect(client.script(cadence)).rejects.toThrow('no such vault')
    await expect(client.script('import "Nowhere"')).rejects.toThrow('import "Nowhere"')
  })
})

test('amounts are exact, and refused when they do not fit', () => {
  for (const [text, units] of [
    ['0', 0n],
    ['1.5', 150_000_000n],
    ['0.00000001', 1n],
    ['184467440737.09551615', 2n ** 64n - 1n],
  ] as const) {
    expect(parseUfix64(text)).toBe(units)
    expect(parseUfix64(formatUfix64(units))).toBe(units)
  }
  for (const wrong of ['184467440737.09551616', '1.123456789', '-1', '1.', '.5', '1e3', '']) {
    expect(() => parseUfix64(wrong)).toThrow(RangeError)
  }
})

describe('the clock', () => {
  test('moves block time forward for the next script and the next transaction', async () => {
    // Cadence sees whole seconds of a block's time.
    const before = Number(await client.script(NOW_SCRIPT)) / 1e5
    const moved = await client.moveClock(40 * DAY_MS)
    expect(moved.blockMs).toBeGreaterThanOrEqual(before + 40 * DAY_MS)
    const after = Number(await client.script(NOW_SCRIPT)) / 1e5
    expect(after - before).toBeGreaterThanOrEqual(40 * DAY_MS)
    expect(after - before).toBeLessThan(41 * DAY_MS)

    const cadence = `transaction(least: UFix64) { execute {
      assert(getCurrentBlock().timestamp >= least, message: "too early")
    } }`
    const args = [ufix64(BigInt(Math.floor(moved.blockMs / 1000)) * 10n ** 8n)]
    const parts = { cadence, args, signers: [], proposer: SERVICE_ACCOUNT }
    expect((await client.send(parts)).error).toBeNull()
  })

  test('never goes back, and takes no nonsense', async () => {
    const { offsetMs } = await client.clock()
    for (const wrong of [-1, 1e15, 1.5, Number.NaN]) {
      await expect(client.moveClock(wrong)).rejects.toThrow()
    }
    expect((await client.clock()).offsetMs).toBe(offsetMs)
  })

  test('blocks can be made at once', async () => {
    const { height } = await client.clock()
    expect((await client.makeBlock()).height).toBeGreaterThan(height)
    const quick = client.with({ minesAtOnce: true })
    const cadence = 'transaction { prepare(service: &Account) {} }'
    const all = Array.from({ length: 5 }, () => quick.send({ cadence, signers: [SERVICE_ACCOUNT] }))
    expect((await Promise.all(all)).map(({ error }) => error)).toEqual(Array(5).fill(null))
  })
})

describe('the process', () => {
  test('one chain is never opened twice', async () => {
    const again = startEmulator({ dir, blockTimeMs: 200 })
    await expect(again).rejects.toThrow(`process ${emulator.pid} has the chain in ${dir} open`)
    const { height } = await client.block()
    await client.makeBlock()
    expect((await client.block()).height).toBeGreaterThan(height)
  })

  // Goal: a crash of whoever started an emulator leaves none behind.
  // Method: a process between us starts one, and is killed with -9.
  test('the emulator ends with the process that started it', async () => {
    const program = await findEmulator()
    const [grpc = 0, rest = 0, admin = 0] = await freePorts(3)
    const between = `
      const { spawn } = require('node:child_process')
      const ports = ['--port', ${grpc}, '--rest-port', ${rest}, '--admin-port', ${admin}]
      const args = [...ports, '--host', '127.0.0.1', '--debugger-port', 0, '--block-time', '1s']
      const env = { ...process.env, FLOW_EMULATOR_ENDS_WITH_STDIN: '1' }
      const child = spawn(${JSON.stringify(program[0])}, args.map(String), { env })
      process.stdout.write(String(child.pid))
    `
    const parent = spawn(process.execPath, ['-e', between], { stdio: ['ignore', 'pipe', 'ignore'] })
    const [said] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(said.toString())
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    try {
      await expect.poll(() => isAlive(pid), PATIENTLY).toBe(false)
    } finally {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    }
  })

  // Goal: what was sealed survives a crash, and block time does not fall at the next start.
  test('kill -9 and a restart keep state and time', async () => {
    const account = await client.createAccount({ fundFlow: '3.0' })
    const { offsetMs } = await client.moveClock(DAY_MS)
    const before = await client.block()
    const funds = await client.balance(account.address)
    await emulator.kill9()

    emulator = await startEmulator({ dir, blockTimeMs: 200 })
    client = emulator.client
    expect(await client.block(before.height)).toEqual(before)
    expect(await client.balance(account.address)).toBe(funds)
    // The time of the outage itself may be caught up with, and no more.
    expect((await client.clock()).offsetMs).toBeGreaterThan(offsetMs - DAY_MS / 2)
    expect((await client.makeBlock()).blockMs).toBeGreaterThanOrEqual(before.timestampMs)
    const cadence = 'transaction { prepare(account: &Account) {} }'
    expect((await client.send({ cadence, signers: [account] })).error).toBeNull()
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function balances(...accounts: readonly FlowAccount[]): Promise<bigint[]> {
  return Promise.all(accounts.map(({ address }) => client.balance(address)))
}

describe('a connection that is closed without an answer', () => {
  test('loses no transaction and does none twice', async () => {
    const proxy = await startFaultProxy(emulator.restUrl)
    try {
      const asked: string[] = []
      const lost = new Set<string>()
      // Every first answer of a kind is lost, after the work was done.
      proxy.faultOf = (method, path) => {
        const kind = `${method} ${path.split('/').slice(0, 3).join('/')}`
        asked.push(kind)
        if (lost.has(kind)) return 'none'
        lost.add(kind)
        return 'lost answer'
      }
      const [from, to] = [await client.createAccount(), await client.createAccount()]
      const before = await client.balance(to.address)
      const args = [address(to.address), ufix64('0.25')]
      const through = new FlowClient({ restUrl: proxy.url })
      await through.sendOrThrow({ cadence: TRANSFER_FLOW, args, signers: [from] })
      expect(asked.filter((kind) => kind === 'POST /v1/transactions')).toHaveLength(2)
      expect(await client.balance(to.address)).toBe(before + FLOW / 4n)
      proxy.faultOf = () => 'lost answer'
      await expect(through.block()).rejects.toThrow('fetch failed')
    } finally {
      await proxy.stop()
    }
  })
})
