import { periodAt } from '../../../src/domain/period.js'
import { planIn } from './models/vault.js'
import { orderCorrection, releaseStops, sendCorrections } from './operator.js'
import { owners } from './owners.js'
import { DONE_AGAIN } from './restore.js'
import { setNextMeter } from './rotation.js'
import { strangers } from './strangers.js'
import { changeVault, openVault, type World } from './world.js'

const CENT = 10n ** 16n

/** Returns false when there is nothing to do it to. */
type Trouble = (world: World) => unknown

/** What happens outside of our process at any time. Most of it is everyday life. */
const ALL = {
  ...strangers,
  ...owners,
  evmReorganises: ({ evm, random }) => {
    const depth = random.whole(1, 3)
    const isEmpty = Array.from({ length: depth }, (_, lag) => evm.view(lag).txs.length)
    if (isEmpty.every((txs) => txs === 0)) return false
    return evm.reorganise(depth)
  },
  evmPoolForgets: ({ evm }) => evm.pool.length > 0 && evm.forget(),
  evmPriceMoves: ({ evm, random }) => {
    evm.basePrice = random.pick([1, 1, 5, 30])
  },
  evmNumberBurnt: ({ evm }) => evm.sendAs('us', { kind: 'nothing' }),
  roundLossy: ({ rounds }) => {
    rounds.plan.isLossy = true
  },
  roundNeverFinalised: ({ rounds }) => {
    rounds.plan.isNeverFinalised = true
  },
  roundDoubleSigned: ({ rounds }) => {
    rounds.plan.isDoubleSigned = true
  },
  proofsLate: ({ rounds, random }) => {
    rounds.plan.serveDelayMs = random.whole(60_000, 900_000)
  },
  flowPoolForgets: ({ flow }) => flow.pool.length > 0 && flow.forget(),
  flowPoolMoody: ({ flow, random }) => {
    const isMoody = random.next() < 0.7
    flow.poolFaults = isMoody
      ? { dropped: 0.2, late: 0.3, lateMax: 620 }
      : { dropped: 0, late: 0, lateMax: 0 }
  },
  flowNumberBurnt: ({ flow, flowKeys, random }) => flow.burn(random.pick(flowKeys)),
  correctionOrdered: orderCorrection,
  correctionSent: sendCorrections,
  stopsReleased: releaseStops,
  /** As a contract that has a bug for one vault would. */
  flowEntryBreaks: ({ flow, random }) => {
    const isOver = flow.rules.breaking.size > 0
    const breaking = new Set(isOver ? [] : [random.pick([7n, 9n, 11n])])
    flow.rules = { ...flow.rules, breaking }
  },
  flowPriceStale: ({ flow, random }) =>
    flow.change((state) => ({ ...state, tokenPrice: random.pick([0n, 1n, 30n, 200n]) * CENT })),
  outage: ({ wires, random }) => {
    const wire = random.pick(Object.values(wires))
    wire.isDown = !wire.isDown
  },
  ourClockWrong: (world) => {
    world.skewMs = world.random.pick([0, 0, 90_000, 3_600_000, -600_000])
  },
  planChosen: (world) =>
    changeVault(world, (vault, now) => {
      const { startsAt, endsUntil } = periodAt(now * 1_000, vault.periodKind)
      const planId = `${vault.periodKind}-${world.random.whole(1, 3)}`
      const kept = vault.plans.filter(({ fromPeriodStart }) => fromPeriodStart <= startsAt)
      if (planIn(vault, startsAt) === planId) return { ...vault, plans: kept }
      return { ...vault, plans: [...kept, { fromPeriodStart: endsUntil, planId }] }
    }),
  limitsChanged: (world) => {
    const { random } = world
    changeVault(world, (vault) => ({
      ...vault,
      isPaused: random.next() < 0.2,
      isAutopayOn: random.next() < 0.8,
      cap: limitOf(random),
      entitled: limitOf(random),
    }))
  },
  modelRegistered: ({ flow }) =>
    flow.change((state) => ({ ...state, models: [...new Set([...state.models, 'llama-3'])] })),
  meterSet: setNextMeter,
  vaultOpened: (world) => openVault(world, 11n),
  directorySet: async ({ store, random, directory }) => {
    const [payer, account] = [random.pick(['alice', 'bob']), random.pick([7n, 9n, 11n])]
    const before = directory.get(payer) ?? new Set<bigint>()
    before.delete(account)
    directory.set(payer, before.add(account)) // The last one is in force.
    await store.directory.set(payer, account as never)
  },
} satisfies Readonly<Record<string, Trouble>>

export type TroubleName = keyof typeof ALL
export const TROUBLES = Object.keys(ALL) as readonly TroubleName[]

const TRIES_MAX = 5

export async function makeTrouble(world: World): Promise<void> {
  const { troubles } = world.schedule
  for (let tries = 0; tries < TRIES_MAX && troubles.length > 0; tries += 1) {
    const name = world.random.pick(troubles)
    if (world.backup !== undefined && DONE_AGAIN.has(name)) continue
    if ((await ALL[name](world)) === false) continue
    world.trace(() => `* ${name}`)
    return
  }
}

/** Wad; often none. */
function limitOf(random: World['random']): bigint | undefined {
  return random.next() < 0.5 ? BigInt(random.whole(0, 300)) * CENT : undefined
}
