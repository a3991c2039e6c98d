import type { BatchHeader } from '../../../../src/domain/batch.js'
import type { Hash } from '../../../../src/domain/bytes.js'
import { RetryableError } from '../../../../src/domain/errors.js'
import { type AccountNumber, accountNumber, type BatchSeq } from '../../../../src/domain/ids.js'
import { type Ufix64Units, wad } from '../../../../src/domain/money.js'
import type {
  BatchProof,
  EntryRun,
  PolicyProof,
  PolicySigners,
} from '../../../../src/domain/proof.js'
import type { EntryKey } from '../../../../src/domain/usage-total.js'
import type { Call, Lane } from '../../../../src/ports/lane.js'
import type {
  AppliedRecord,
  Balance,
  Conservation,
  LightClient,
  SettledPage,
  Settler,
  Stream,
  Vault,
} from '../../../../src/ports/settler.js'
import type { Plan } from '../../../../src/pricing/plan.js'
import type { Wire } from '../wire.js'
import type { FlowBody, FlowState } from './contracts.js'
import type { FlowChain } from './flow.js'
import { canProve } from './light-client.js'
import { NOTHING_APPLIED } from './vault.js'

const EVENT_BLOCKS_MAX = 250

/** The contracts of the model, read from nodes that may be behind. */
export class ModelSettler implements Settler {
  readonly identity
  readonly lanes: readonly [Lane, ...Lane[]]
  readonly #chain: FlowChain
  readonly #wire: Wire

  constructor(chain: FlowChain, wire: Wire, lanes: readonly [Lane, ...Lane[]]) {
    this.identity = { network: 'model', target: chain.rules.target, provider: 1n }
    this.#chain = chain
    this.#wire = wire
    this.lanes = lanes
  }

  async checkLanes(signal: AbortSignal): Promise<void> {
    this.#look(signal)
  }

  async stream(signal: AbortSignal): Promise<Stream> {
    signal.throwIfAborted()
    return this.#streamAt(this.#height())
  }

  #streamAt(height: number): Stream {
    const { meter, meterEpoch, activeFrom } = this.#chain.state(height).stream
    return { meter, meterEpoch, activeFrom, isActive: this.#chain.timeOf(height) >= activeFrom }
  }

  async vaults(signal: AbortSignal): Promise<readonly Vault[]> {
    return [...this.#look(signal).vaults].map(([account, vault]) => ({
      account: accountNumber(account),
      isOpen: vault.status !== 'closed',
      periodKind: vault.periodKind,
      openedPeriodStart: vault.openedPeriodStart,
      floor: vault.floor,
      plans: vault.plans,
    }))
  }

  async models(signal: AbortSignal): Promise<readonly string[]> {
    return this.#look(signal).models
  }

  async plans(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Plan>> {
    const { plans } = this.#look(signal)
    return new Map(
      ids.map((id) => {
        const plan = plans.get(id)
        if (plan === undefined) throw new RetryableError('settler_nonsense', `no plan ${id}`)
        return [id, plan]
      }),
    )
  }

  async lightClient(signal: AbortSignal): Promise<LightClient> {
    const { lastEpoch } = this.#look(signal).client
    return { lastEpoch, proposal: undefined, poisonedRounds: [] }
  }

  /** The model of Flare knows them itself. */
  async policySigners(_rewardEpoch: number, signal: AbortSignal): Promise<PolicySigners> {
    this.#look(signal)
    return { threshold: 0, voters: [] }
  }

  async canProve(round: number, signal: AbortSignal): Promise<boolean> {
    return canProve(this.#look(signal).client, round)
  }

  policyCall(proof: PolicyProof): Call {
    return call(`policy ${proof.rewardEpoch}`, { kind: 'policy', proof })
  }

  async acceptedRoot(seq: BatchSeq, signal: AbortSignal): Promise<Hash | undefined> {
    return this.#look(signal).stream.roots.get(seq)
  }

  async acceptedRoots(
    seqs: readonly BatchSeq[],
    signal: AbortSignal,
  ): Promise<readonly (Hash | undefined)[]> {
    const { roots } = this.#look(signal).stream
    return seqs.map((seq) => roots.get(seq))
  }

  acceptCall(proof: BatchProof): Call {
    return call(`accept ${proof.header.seq}`, { kind: 'accept', proof })
  }

  settleCall({ seq }: BatchHeader, runs: readonly EntryRun[]): Call {
    return call(`settle ${seq}`, { kind: 'settle', seq, runs })
  }

  async applied(
    keys: readonly EntryKey[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly AppliedRecord[]> {
    const { vaults } = this.#look(signal, atHeight)
    return keys.map(({ accountNumber: account, periodStart }) => {
      const found = vaults.get(account)?.records.get(periodStart) ?? NOTHING_APPLIED
      const { meterEpoch, lastSeq, billable, charged } = found
      const record = { meterEpoch, lastSeq, billable, charged: wad(charged) }
      return { accountNumber: account, periodStart, ...record }
    })
  }

  async settledSince(fromHeight: number, signal: AbortSignal): Promise<SettledPage> {
    signal.throwIfAborted()
    const sealed = this.#height()
    if (fromHeight > sealed) return { events: [], corrections: [], untilHeight: fromHeight }
    const stream = this.#streamAt(sealed)
    const untilHeight = Math.min(sealed, fromHeight + EVENT_BLOCKS_MAX - 1) + 1
    const isInside = ({ height }: { readonly height: number }) =>
      height >= fromHeight && height < untilHeight
    const events = this.#chain.events.filter(isInside)
    return { events, corrections: this.#chain.corrections.filter(isInside), stream, untilHeight }
  }

  async sealedHeight(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    return this.#height()
  }

  async balances(
    accounts: readonly AccountNumber[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly Balance[]> {
    const { vaults } = this.#look(signal, atHeight)
    return accounts.flatMap((account) => {
      const vault = vaults.get(account)
      if (vault === undefined) return []
      const { charged, paid, owed, writtenOff } = vault
      const money = { charged: wad(charged), paid: wad(paid), owed: wad(owed) }
      return [{ account, balance: units(vault.balance), ...money, writtenOff: wad(writtenOff) }]
    })
  }

  async conservation(signal: AbortSignal, atHeight?: number): Promise<Conservation> {
    const { pool, earnings, vaults } = this.#look(signal, atHeight)
    const vaultBalances = [...vaults.values()].reduce((sum, { balance }) => sum + balance, 0n)
    return {
      pool: units(pool),
      vaultBalances: units(vaultBalances),
      earnings: units(earnings),
    }
  }

  async wallet(signal: AbortSignal): Promise<{ address: string; balance: Ufix64Units }> {
    signal.throwIfAborted()
    this.#height()
    return { address: '0x01', balance: units(1_000n) }
  }

  /** The state of a height, or the newest of the node that answers. */
  #look(signal: AbortSignal, atHeight?: number): FlowState {
    signal.throwIfAborted()
    const height = this.#height()
    if (atHeight === undefined) return this.#chain.state(height)
    if (atHeight > height) throw new RetryableError('settler_unreachable', `no block ${atHeight}`)
    return this.#chain.state(atHeight)
  }

  #height(): number {
    return Math.max(1, this.#chain.height - this.#wire.ask())
  }
}

function call(what: string, body: FlowBody): Call {
  return { what, body }
}

function units(value: bigint): Ufix64Units {
  return value as Ufix64Units
}
