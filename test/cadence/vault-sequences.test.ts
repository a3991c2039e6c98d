import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  array,
  bool,
  type CadenceValue,
  optional,
  string,
  ufix64,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import { DEFAULT_PLAN, type Plan } from '../../devnet/flow/plan.js'
import { type Customer, expectConservation, FLOW, FLOW_WAD, Settlement, WAD } from './settlement.js'
import { DeskModel, FEE, NOTICE_S, type VaultModel } from './vault-model.js'
import { u64 } from './world.js'

// Goal: whatever customers, provider, strangers and an attacker do, in any order, the contract's
// numbers are the model's, every token is accounted for, and nobody but a customer moves that
// customer's free balance.
// Method: a random sequence of all public calls, compared with the model after each. A failure names
// its seed and step: `VAULT_SEED=7 VAULT_STEPS=200 npx vitest run test/cadence/vault-sequences`.
vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 300_000 })
/** One in which a customer stays, another is held to the notice, and much is used. */
const SEED = Number(process.env.VAULT_SEED ?? 20_262_125)
const STEPS = Number(process.env.VAULT_STEPS ?? 40)

const VAULTS = 3
/** Never a divisor of a day: no step meets the end of a notice or of a period by chance. */
const CLOCK_STEP_S = 30_000

const PLAN: Plan = {
  ...DEFAULT_PLAN,
  period: 'day',
  fee: FEE,
  noticeSeconds: NOTICE_S,
  tiers: [
    { upTo: 1_000n, pricePerMillion: 20_000_000n, discountBps: 0 },
    { upTo: null, pricePerMillion: 10_000_000n, discountBps: 0 },
  ],
}

const KINDS = [
  ...['use', 'use', 'use', 'use', 'replay', 'deposit', 'payOwed', 'end', 'refund', 'clock'],
  ...['price', 'autopay', 'pause', 'cap', 'entitle', 'request', 'execute', 'leave', 'stay'],
  'takeRest',
  ...['correct', 'correct', 'credit', 'approve', 'maxCharge', 'collect', 'close'],
  ...['stealAsCustomer', 'stealAsProvider'],
] as const

interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly vault: number
  /** What it means is the step's affair. */
  readonly size: number
  readonly isBig: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS),
  vault: fc.nat({ max: VAULTS - 1 }),
  size: fc.nat({ max: 1_000 }),
  isBig: fc.boolean(),
})

let settlement: Settlement
let customers: Customer[]
let stranger: FlowAccount
let model: DeskModel
beforeAll(async () => {
  settlement = await Settlement.start(PLAN)
  stranger = await settlement.world.client.createAccount({ fundFlow: '50.0' })
  model = new DeskModel(FLOW_WAD, await now())
  customers = []
  for (let i = 0; i < VAULTS; i += 1) {
    customers.push(await settlement.open('0.1'))
    model.open(FLOW / 10n)
  }
})
afterAll(() => settlement?.stop())

test(`seed ${SEED}, ${STEPS} steps`, async () => {
  const [steps = []] = fc.sample(fc.array(step, { minLength: STEPS, maxLength: STEPS }), {
    seed: SEED,
    numRuns: 1,
  })
  let before = await numbers()
  for (const [i, one] of steps.entries()) {
    const where = `seed ${SEED}, step ${i}: ${JSON.stringify(one)}`
    model.now = await now()
    const isTaken = await expectTaken(one, where)
    const after = await numbers()
    expect(after, where).toEqual(model.vaults.map(numbersOf))
    expectNothingStolen(one, before, after, where)
    if (!isTaken) expect(after, where).toEqual(before)
    await expectConservation(settlement)
    before = after
  }
  expect((await settlement.conservation()).books[0]?.earnings).toBe(model.earnings)
  expect(tally.get('applied'), JSON.stringify([...tally])).toBeGreaterThan(STEPS / 15)
})

const now = async (): Promise<number> =>
  Math.floor((await settlement.world.client.clock()).blockMs / 1_000)

type Numbers = Pick<VaultModel, 'balance' | 'charged' | 'paid' | 'owed' | 'writtenOff' | 'entitled'>

async function numbers(): Promise<Numbers[]> {
  const accounts = array(customers.map(({ number }) => u64(number)))
  const found = (await settlement.world.run('get_balances', [u64(1), accounts])) as never
  return (found as VaultModel[]).map(numbersOf)
}

function numbersOf({ balance, charged, paid, owed, writtenOff, entitled }: VaultModel): Numbers {
  return { balance, charged, paid, owed, writtenOff, entitled }
}

/** A balance falls by its customer's own act, by what it pays, or to its refund receiver. */
function expectNothingStolen(one: Step, before: Numbers[], after: Numbers[], where: string): void {
  for (const [i, { balance, paid }] of after.entries()) {
    const was = before[i]
    if (was === undefined) throw new Error(where)
    const isOwn = i === one.vault && ['execute', 'takeRest', 'refund', 'end'].includes(one.kind)
    if (balance >= was.balance || isOwn) continue
    expect(paid - was.paid, where).toBe(((was.balance - balance) * model.price) / FLOW)
  }
}

/** Does a step on the chain and in the model; both must agree on whether it is taken. */
async function expectTaken(one: Step, where: string): Promise<boolean> {
  const { isTaken, send } = actionOf(one)
  const { error } = await send()
  expect(error === null, `${where}: ${error}`).toBe(isTaken)
  count(`${one.kind} ${isTaken ? 'taken' : 'refused'}`)
  return isTaken
}

interface Action {
  /** What the model says. */
  readonly isTaken: boolean
  readonly send: () => Promise<{ readonly error: string | null }>
}

const wad = (value: bigint): CadenceValue => uint('UInt128', value)
/** How often each thing happened: a sequence in which nothing does proves nothing. */
const tally = new Map<string, number>()
const count = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)
const batches: { vault: number; batch: Awaited<ReturnType<Settlement['accept']>> }[] = []

function actionOf({ kind, vault: index, size, isBig }: Step): Action {
  const vault = model.vaults[index]
  const customer = customers[index]
  if (vault === undefined || customer === undefined) throw new Error(`no vault ${index}`)
  const { provider, world } = settlement
  const ids = customer.ids
  const own = (name: string, ...args: CadenceValue[]) =>
    attempt(`customer/${name}`, [...ids, ...args], customer.account)
  const byProvider = (name: string, ...args: CadenceValue[]) =>
    attempt(`provider/${name}`, [u64(customer.number), ...args], provider.account)
  const byStranger = (name: string, ...args: CadenceValue[]) =>
    attempt(`anybody/${name}`, [...ids, ...args], stranger)
  const units = BigInt(size) * (isBig ? 20_000n : 1_000n)
  // Today, yesterday, or a day that is none of the vault's.
  const period = model.today - ([0, 0, 1, 2][size % 4] ?? 0) * 86_400
  const tokens = BigInt(size) * (isBig ? 3n : 1n)
  const limit = isBig ? BigInt(size) * 10n ** 14n : null

  switch (kind) {
    case 'use':
      return used(index, period, tokens)
    case 'replay':
      return replayed(size)
    case 'deposit':
      return { isTaken: model.deposit(vault, units), send: byStranger('deposit', ufix64(units)) }
    case 'credit':
      return {
        isTaken: model.deposit(vault, units),
        send: byProvider('credit_vault', ufix64(units), string('flowTokenVault'), string('a gift')),
      }
    case 'payOwed':
      model.payOwed(vault)
      return { isTaken: true, send: attempt('anybody/pay_owed', payArgs(customer), stranger) }
    case 'end':
      return { isTaken: model.end(vault), send: byStranger('end_vault') }
    case 'refund':
      return { isTaken: model.takeRest(vault) > 0n, send: byStranger('refund_vault') }
    case 'takeRest':
      return {
        isTaken: model.takeRest(vault) > 0n,
        send: own('take_refund', string('flowTokenVault')),
      }
    case 'clock':
      return {
        isTaken: true,
        async send() {
          await settlement.moveClock(CLOCK_STEP_S)
          return { error: null }
        },
      }
    case 'price': {
      const price = [0n, WAD / 4n, WAD / 2n, WAD * 3n][size % 4] ?? 0n
      model.setPrice(price)
      return {
        isTaken: true,
        async send() {
          await settlement.setPrice(price === 0n ? 1_000n * WAD : price) // Out of bounds: none.
          return { error: null }
        },
      }
    }
    case 'autopay':
      vault.isAutopayOn = isBig
      return { isTaken: true, send: own('set_autopay', bool(isBig)) }
    case 'pause':
      vault.isPaused = !isBig
      return { isTaken: true, send: own('set_paused', bool(!isBig)) }
    case 'cap':
      vault.cap = limit
      return { isTaken: true, send: own('set_cap', optional(limit === null ? null : wad(limit))) }
    case 'entitle': {
      vault.entitled = limit
      vault.validUntil = size % 2 === 0 ? null : model.now + CLOCK_STEP_S * 2 - 10_000
      const until = vault.validUntil === null ? null : u64(vault.validUntil)
      const most = optional(limit === null ? null : wad(limit))
      return { isTaken: true, send: own('set_entitlement', most, optional(until)) }
    }
    case 'request':
      return {
        isTaken: model.requestWithdrawal(vault, units),
        send: own('request_withdrawal', ufix64(units)),
      }
    case 'execute':
      return { isTaken: model.executeWithdrawal(vault), send: own('execute_withdrawal') }
    case 'leave':
      return { isTaken: model.beginEnding(vault, 'leaving'), send: own('leave_vault') }
    case 'stay':
      return { isTaken: model.stay(vault), send: own('stay_in_vault') }
    case 'close':
      return { isTaken: model.beginEnding(vault, 'closing'), send: byProvider('close_vault') }
    case 'correct': {
      const afterSeq = BigInt(isBig ? size % 5 : 0)
      const start = [uint('UInt32', period), wad(tokens * 10_000n), u64(afterSeq)]
      return {
        isTaken: model.correct(vault, period, tokens, afterSeq),
        send: byProvider('correct_usage', ...start, string('a test')),
      }
    }
    case 'approve': {
      const upTo = BigInt(size) * 10n ** 14n
      const isPeriod = period >= vault.openedOn
      if (isPeriod) vault.approvals.set(period, upTo)
      const send = byProvider('approve_charge', uint('UInt32', period), wad(upTo))
      return { isTaken: isPeriod, send }
    }
    case 'maxCharge': {
      model.maxCharge = limit
      const most = optional(limit === null ? null : wad(limit))
      return { isTaken: true, send: attempt('provider/set_max_charge', [most], provider.account) }
    }
    case 'collect': {
      const args = [string('USD'), ufix64(units)]
      return {
        isTaken: model.collect(units),
        send: attempt('provider/collect_earnings', args, provider.account),
      }
    }
    case 'stealAsCustomer': {
      const verbs = [
        ...['execute_withdrawal', 'leave_vault', 'stay_in_vault', 'set_autopay', 'take_refund'],
      ] as const
      const verb = verbs[size % verbs.length] ?? 'leave_vault'
      const rest = { set_autopay: [bool(true)], take_refund: [string('flowTokenVault')] }
      const args = [...ids, ...(verb in rest ? rest[verb as keyof typeof rest] : [])]
      const thief = isBig ? stranger : (customers[(index + 1) % VAULTS]?.account ?? stranger)
      return { isTaken: false, send: attempt(`customer/${verb}`, args, thief) }
    }
    case 'stealAsProvider': {
      const args: Record<string, CadenceValue[]> = {
        close_vault: [u64(customer.number)],
        set_max_charge: [optional(wad(0n))],
        collect_earnings: [string('USD'), ufix64('0.00000001')],
      }
      const names = Object.keys(args)
      const name = names[size % names.length] ?? 'close_vault'
      return { isTaken: false, send: attempt(`provider/${name}`, args[name] ?? [], stranger) }
    }
  }

  function attempt(name: string, args: CadenceValue[], signer: FlowAccount): Action['send'] {
    return async () => {
      try {
        await world.send(name, args, signer)
        return { error: null }
      } catch (error) {
        return { error: String(error) }
      }
    }
  }
}

function payArgs({ number }: Customer): CadenceValue[] {
  return [u64(1), array([u64(number)])]
}

/** Usage comes in a batch of its own, and what becomes of it is part of what is compared. */
function used(index: number, period: number, tokens: bigint): Action {
  const customer = customers[index] as Customer
  return {
    isTaken: true,
    async send() {
      const entry = settlement.entry(customer, { promptTokens: tokens }, period)
      const batch = await settlement.accept([entry])
      batches.push({ vault: index, batch })
      model.now = await now()
      const { seq } = batch.header
      const expected = model.settle(model.vaults[index] as VaultModel, period, tokens, seq)
      const results = await settlement.settled({ batch })
      expect(results.map(({ result }) => result)).toEqual([expected])
      count(expected)
      return { error: null }
    },
  }
}

/** Brings an older batch again. It may be the first time that it applies, if it was held. */
function replayed(size: number): Action {
  const found = batches[size % Math.max(1, batches.length)]
  return {
    isTaken: true,
    async send() {
      if (found === undefined) return { error: null }
      const [bytes = '0x'] = found.batch.chunks[0]?.entries ?? []
      const period = Number(`0x${bytes.slice(20, 28)}`)
      const tokens = BigInt(`0x${bytes.slice(-56, -40)}`)
      const vault = model.vaults[found.vault] as VaultModel
      const expected = model.settle(vault, period, tokens, found.batch.header.seq)
      const results = await settlement.settled({ batch: found.batch })
      expect(results.map(({ result }) => result)).toEqual([expected])
      count(expected)
      return { error: null }
    },
  }
}
