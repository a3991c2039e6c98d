import type { z } from 'zod'
import { type BatchHeader, targetOf } from '../../domain/batch.js'
import type { Hash } from '../../domain/bytes.js'
import { assert, RetryableError } from '../../domain/errors.js'
import type { AccountNumber, BatchSeq } from '../../domain/ids.js'
import type { Ufix64Units } from '../../domain/money.js'
import type { BatchProof, EntryRun, PolicyProof, PolicySigners } from '../../domain/proof.js'
import type { EntryKey } from '../../domain/usage-total.js'
import type { Call } from '../../ports/lane.js'
import type {
  AppliedRecord,
  Balance,
  Conservation,
  LightClient,
  SettledPage,
  Settler,
  SettlerIdentity,
  Stream,
  Vault,
} from '../../ports/settler.js'
import type { Plan } from '../../pricing/plan.js'
import { openSigner } from '../../signers/index.js'
import { CadenceFiles } from './cadence.js'
import { acceptCall, policyCall, settleCall } from './calls.js'
import { EVENT_BLOCKS_MAX, FlowClient, json } from './client.js'
import { type FlowConfig, flowSettings, nodesOf } from './config.js'
import { array, type CadenceValue, int, uint } from './json-cadence.js'
import { FlowLane } from './lane.js'
import * as view from './parse.js'

/**
 * Vaults, records or balances asked for in one script. A script may use 100000 computation units,
 * and the dearest of these take about a hundred each.
 */
const SCRIPT_ITEMS_MAX = 200
/** More vaults than any provider has; a node that never ends a list must not hold us for ever. */
const PAGES_MAX = 10_000

/** Settlement through the contracts in cadence/. */
export class FlowSettler implements Settler {
  readonly identity: SettlerIdentity
  /** One for each key of the account. They may be used at the same time. */
  readonly lanes: readonly [FlowLane, ...FlowLane[]]
  readonly #client: FlowClient
  readonly #files: CadenceFiles
  readonly #config: FlowConfig

  constructor(config: FlowConfig) {
    const { network, contractsAddress, providerId, keyIndexes } = config
    const client = new FlowClient(nodesOf(config))
    const files = new CadenceFiles(config)
    this.identity = { network, target: targetOf(network, contractsAddress), provider: providerId }
    const signer = openSigner(config.privateKey, flowSettings.privateKey.env)
    const laneOf = (keyIndex: number) => new FlowLane({ client, files, keyIndex, signer, config })
    const [first, ...others] = keyIndexes
    assert(first !== undefined, 'at least one key')
    this.lanes = [laneOf(first), ...others.map(laneOf)]
    this.#client = client
    this.#files = files
    this.#config = config
  }

  async checkLanes(signal: AbortSignal): Promise<void> {
    const keys = await this.#client.accountKeys(this.#config.accountAddress, signal)
    for (const lane of this.lanes) await lane.check(keys, signal)
  }

  async stream(signal: AbortSignal): Promise<Stream> {
    return this.#run('get_stream', [this.#provider], view.streamView, signal)
  }

  async vaults(signal: AbortSignal): Promise<readonly Vault[]> {
    const vaults: Vault[] = []
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const args = [this.#provider, int(vaults.length), int(SCRIPT_ITEMS_MAX)]
      const more = await this.#run('get_vaults', args, view.vaultsView, signal)
      vaults.push(...more)
      if (more.length < SCRIPT_ITEMS_MAX) return vaults
    }
    throw new RetryableError('settler_nonsense', 'the list of vaults does not end')
  }

  async models(signal: AbortSignal): Promise<readonly string[]> {
    return this.#run('get_models', [this.#provider], view.modelsView, signal)
  }

  async plans(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Plan>> {
    const plans = new Map<string, Plan>()
    for (const id of new Set(ids)) {
      const plan = await this.#run('get_plan', [uint('UInt64', BigInt(id))], view.planView, signal)
      if (plan === null) throw new RetryableError('settler_nonsense', `Flow has no plan ${id}`)
      plans.set(id, plan)
    }
    return plans
  }

  async lightClient(signal: AbortSignal): Promise<LightClient> {
    const found = await this.#run('get_light_client', [], view.lightClientView, signal)
    const { lastEpoch, checkpoint, epochs } = found
    return {
      lastEpoch,
      proposal: checkpoint ?? undefined,
      poisonedRounds: epochs.flatMap(({ poisonedRounds }) => poisonedRounds).sort((a, b) => a - b),
    }
  }

  async policySigners(rewardEpoch: number, signal: AbortSignal): Promise<PolicySigners> {
    const args = [uint('UInt32', BigInt(rewardEpoch))]
    const found = await this.#run('get_policy_signers', args, view.policySignersView, signal)
    if (found !== null) return found
    const message = `the light client holds no policy of reward epoch ${rewardEpoch}`
    throw new RetryableError('settler_nonsense', message)
  }

  async canProve(round: number, signal: AbortSignal): Promise<boolean> {
    const args = [uint('UInt32', BigInt(round))]
    const { isPoisoned, epoch } = await this.#run('is_round_proven', args, view.roundView, signal)
    return !isPoisoned && epoch !== null
  }

  policyCall(proof: PolicyProof): Call {
    return policyCall(proof)
  }

  async acceptedRoot(seq: BatchSeq, signal: AbortSignal): Promise<Hash | undefined> {
    const [root] = await this.acceptedRoots([seq], signal)
    return root
  }

  async acceptedRoots(
    seqs: readonly BatchSeq[],
    signal: AbortSignal,
  ): Promise<readonly (Hash | undefined)[]> {
    const read = { signal, atHeight: undefined }
    const roots: (Hash | undefined)[] = []
    for (const page of pagesOf(seqs)) {
      const args = [this.#provider, array(page.map((seq) => uint('UInt64', seq)))]
      const found = await this.#runEach('get_batches', args, view.rootsView, page.length, read)
      roots.push(...found.map((root) => root ?? undefined))
    }
    return roots
  }

  acceptCall(proof: BatchProof): Call {
    return acceptCall(this.identity.provider, proof)
  }

  settleCall(header: BatchHeader, runs: readonly EntryRun[]): Call {
    return settleCall(this.identity.provider, header, runs)
  }

  async applied(
    keys: readonly EntryKey[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly AppliedRecord[]> {
    const read = { signal, atHeight }
    const records: AppliedRecord[] = []
    for (const page of pagesOf(keys)) {
      const accounts = array(page.map(({ accountNumber }) => uint('UInt64', accountNumber)))
      const starts = array(page.map(({ periodStart }) => uint('UInt32', periodStart)))
      const args = [this.#provider, accounts, starts]
      const found = await this.#runEach('get_records', args, view.recordsView, page.length, read)
      for (const [i, { accountNumber, periodStart }] of page.entries()) {
        const record = found[i]
        assert(record !== undefined)
        records.push({ accountNumber, periodStart, ...record })
      }
    }
    return records
  }

  async settledSince(fromHeight: number, signal: AbortSignal): Promise<SettledPage> {
    const sealed = await this.sealedHeight(signal)
    if (fromHeight > sealed) return { events: [], corrections: [], untilHeight: fromHeight }
    const range = {
      from: fromHeight,
      to: Math.min(sealed, fromHeight + EVENT_BLOCKS_MAX - 1),
    }
    // The state of blocks that are long gone is kept by few nodes, so it is the newest that is asked.
    const stream = await this.#run('get_stream', [this.#provider], view.streamView, signal, sealed)
    return {
      events: await this.#events('EntrySettled', view.entrySettledView, range, signal),
      corrections: await this.#events('UsageCorrected', view.usageCorrectedView, range, signal),
      stream,
      untilHeight: range.to + 1,
    }
  }

  /** Of our provider alone. */
  async #events<Fields extends { readonly provider: bigint }>(
    name: string,
    shape: z.ZodType<Fields>,
    range: { readonly from: number; readonly to: number },
    signal: AbortSignal,
  ): Promise<(Omit<Fields, 'provider'> & { readonly height: number; readonly txId: string })[]> {
    const type = `A.${this.#config.contractsAddress.slice(2)}.SubscriptionVaults.${name}`
    const raw = await this.#client.events(type, range, signal)
    return raw.flatMap(({ height, txId, payload }) => {
      const { provider, ...fields } = view.readCadence(json(payload, type), shape, type)
      return provider === this.identity.provider ? [{ ...fields, height, txId }] : []
    })
  }

  async sealedHeight(signal: AbortSignal): Promise<number> {
    return this.#client.sealedHeight(signal)
  }

  /** In the order asked for, without accounts that have no vault. */
  async balances(
    accounts: readonly AccountNumber[],
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<readonly Balance[]> {
    const read = { signal, atHeight }
    const balances: Balance[] = []
    for (const page of pagesOf(accounts)) {
      const args = [this.#provider, array(page.map((account) => uint('UInt64', account)))]
      const found = await this.#runEach('get_balances', args, view.balancesView, page.length, read)
      balances.push(...found.filter((balance) => balance !== null))
    }
    return balances
  }

  /**
   * Of one sealed block. `vaultBalances` is added up from the vaults, not the contract's own sum;
   * `pool` leaves out what the pools hold for other providers.
   */
  async conservation(signal: AbortSignal, atHeight?: number): Promise<Conservation> {
    const height = atHeight ?? (await this.sealedHeight(signal))
    let vaultBalances = 0n
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const args = [this.#provider, int(page * SCRIPT_ITEMS_MAX), int(SCRIPT_ITEMS_MAX)]
      const found = await this.#run('get_conservation', args, view.conservationView, signal, height)
      vaultBalances += found.page.balances
      if (found.page.vaults < SCRIPT_ITEMS_MAX) return conservationOf(found, vaultBalances)
    }
    throw new RetryableError('settler_nonsense', 'the list of vaults does not end')
  }

  async wallet(
    signal: AbortSignal,
  ): Promise<{ readonly address: string; readonly balance: Ufix64Units }> {
    const address = this.#config.accountAddress
    return { address, balance: await this.#client.balance(address, signal) }
  }

  get #provider(): CadenceValue {
    return uint('UInt64', this.identity.provider)
  }

  async #run<T>(
    name: string,
    args: readonly CadenceValue[],
    shape: z.ZodType<T>,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<T> {
    const json = await this.#client.script(this.#files.script(name), args, signal, atHeight)
    return view.readCadence(json, shape, `the result of ${name}`)
  }

  /** For scripts that give one result for each thing asked for. */
  async #runEach<T>(
    name: string,
    args: readonly CadenceValue[],
    shape: z.ZodType<T[]>,
    length: number,
    { signal, atHeight }: { signal: AbortSignal; atHeight: number | undefined },
  ): Promise<T[]> {
    const results = await this.#run(name, args, shape, signal, atHeight)
    if (results.length === length) return results
    const message = `${name} gave ${results.length} results for ${length}`
    throw new RetryableError('settler_nonsense', message)
  }
}

function conservationOf(
  { pools, books }: z.infer<typeof view.conservationView>,
  vaultBalances: bigint,
): Conservation {
  const held = sum(pools.map(({ balance }) => balance))
  const accounted = sum(pools.map(({ accounted }) => accounted))
  const earnings = sum(books.map((book) => book.earnings))
  const ours = sum(books.map((book) => book.balances)) + earnings
  return {
    pool: (held - (accounted - ours)) as Ufix64Units,
    vaultBalances: vaultBalances as Ufix64Units,
    earnings: earnings as Ufix64Units,
  }
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n)
}

function pagesOf<T>(items: readonly T[]): T[][] {
  const pages: T[][] = []
  for (let start = 0; start < items.length; start += SCRIPT_ITEMS_MAX) {
    pages.push(items.slice(start, start + SCRIPT_ITEMS_MAX))
  }
  return pages
}
