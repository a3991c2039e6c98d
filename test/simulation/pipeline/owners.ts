import { assert, TerminalError } from '../../../src/domain/errors.js'
import type { EntryKey } from '../../../src/domain/usage-total.js'
import { listParked, releaseEntry } from '../../../src/pipeline/parked.js'
import { dueOf } from '../../../src/pricing/price.js'
import { decodeEntry } from '../../support/test-flow.js'
import type { FlowState } from './models/contracts.js'
import { beginEnding, endVault, planIn, stay, type VaultState } from './models/vault.js'
import { changeVault, type World } from './world.js'

const CENT = 10n ** 16n
const LIMITS = [40n * CENT, 200n * CENT]
const HALF_AN_HOUR = 1_800
const ORDERED = { reason: 'looked at', by: 'the operator' }

/** What the customers of vaults and their provider do about them. */
export const owners = {
  chargesLimited: ({ flow, random }: World) =>
    flow.change((state) => ({
      ...state,
      maxCharge: random.next() < 0.4 ? undefined : random.pick(LIMITS),
    })),
  heldApproved: (world: World) => approveHeld(world),
  customerLeaves: (world: World) => giveNotice(world, 'leaving'),
  providerCloses: (world: World) => giveNotice(world, 'closing'),
  customerStays: (world: World) => attempt(world, stay),
  vaultEnded: (world: World) =>
    attempt(world, (vault, now, { tokenPrice }) => endVault(vault, { now, tokenPrice })),
  vaultRefunded: (world: World) =>
    attempt(world, (vault) => {
      if (vault.status !== 'closed') throw new Error('refund: it is not closed')
      const { balance } = vault
      return { vault: { ...vault, balance: 0n }, moved: 0n, deposited: -balance }
    }),
}

/** Most stay, or there would soon be nobody to bill. */
function giveNotice(world: World, status: 'leaving' | 'closing'): boolean {
  const { random } = world
  if (random.next() < 0.7) return false
  const notice = random.whole(0, HALF_AN_HOUR)
  return attempt(world, (vault, now) => beginEnding(vault, status, now + notice))
}

/** A transaction that may revert. */
function attempt(world: World, change: Parameters<typeof changeVault>[1]): boolean {
  try {
    changeVault(world, change)
    return true
  } catch {
    return false
  }
}

/** The provider looks at what is held and approves it, and the operator has it stated once more. */
export async function approveHeld(world: World): Promise<boolean> {
  const { store, flow } = world
  const held = (await listParked(store)).refused.filter(({ result }) => result === 'held')
  for (const { accountNumber, periodStart } of held) {
    const key = { accountNumber, periodStart }
    const price = await priceOfNewest(world, key)
    flow.change((state) => withApproved(state, key, price))
    await releaseEntry(store, key, 'parked retry-entry', ORDERED).catch(ignoreTerminal)
  }
  return held.length > 0
}

async function priceOfNewest({ store, flow }: World, key: EntryKey): Promise<bigint> {
  const [newest] = await store.batches.statements(key, 1)
  const { vaults, plans } = flow.state()
  const vault = vaults.get(key.accountNumber)
  const plan = vault && plans.get(planIn(vault, key.periodStart) ?? '')
  assert(newest !== undefined && plan !== undefined, 'what is held was stated, and priced')
  return dueOf(plan, decodeEntry(newest.bytes).rows)
}

function withApproved(state: FlowState, key: EntryKey, upTo: bigint): FlowState {
  const vault: VaultState | undefined = state.vaults.get(key.accountNumber)
  if (vault === undefined) return state
  const approved = new Map(vault.approved).set(key.periodStart, upTo)
  return { ...state, vaults: new Map(state.vaults).set(key.accountNumber, { ...vault, approved }) }
}

/** Somebody was faster, such as the next batch. */
function ignoreTerminal(error: unknown): void {
  if (!(error instanceof TerminalError)) throw error
}
