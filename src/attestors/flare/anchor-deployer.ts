import { setTimeout as sleep } from 'node:timers/promises'
import { getCreateAddress, Transaction } from 'ethers'
import { type Hex, hash } from '../../domain/bytes.js'
import { ConfigError, RetryableError, TerminalError } from '../../domain/errors.js'
import type {
  AnchorDeployer,
  AnchorMemory,
  AnchorPlace,
  AnchorSurvey,
} from '../../ports/anchor-deployer.js'
import type { DeploymentTerms } from '../../ports/deployer.js'
import type { SignedTx } from '../../ports/lane.js'
import { usageAnchorCreationCode } from './anchor-code.js'
import { isAnchorCode } from './anchor-code-check.js'
import { FlareChain } from './chain.js'
import { RpcClient } from './client.js'
import { FLARE_NETWORKS, type FlareConfig, flareSettings } from './config.js'
import { ContractBook, interfaces } from './contracts.js'
import { EvmKey } from './evm-key.js'
import { type EvmCreation, FlareLane } from './lane.js'
import { bigQuantity, intQuantity } from './parse.js'
import { schemeOf } from './signing-policy.js'

const POLL_MS = 1_000
/** Some ten minutes: a wallet that is topped up meanwhile, or a price that falls, is waited for. */
const POLLS_MAX = 600

const CREATION: EvmCreation = { to: null, data: usageAnchorCreationCode, value: 0n }

/** Puts UsageAnchor on Flare with the gas wallet. Its address follows from wallet and nonce. */
export class FlareAnchorDeployer implements AnchorDeployer {
  readonly #chain: FlareChain
  readonly #lane: FlareLane
  readonly #config: FlareConfig

  private constructor(config: FlareConfig, key: EvmKey) {
    this.#config = config
    this.#chain = new FlareChain(new RpcClient(config), config.logWindowBlocks)
    this.#lane = new FlareLane({ chain: this.#chain, key, config, explain: () => undefined })
  }

  static async open(config: FlareConfig): Promise<FlareAnchorDeployer> {
    const key = await EvmKey.open(config.gasKey, flareSettings.gasKey.env)
    return new FlareAnchorDeployer(config, key)
  }

  async survey(known: Hex | undefined, signal: AbortSignal): Promise<AnchorSurvey> {
    const payer = this.#lane.address
    const code = known === undefined ? '0x' : await this.#chain.code(known, signal)
    const balance = await this.#lane.balance(signal)
    const about = { chainId: this.#config.chainId, payer, balance }
    if (known !== undefined && code !== '0x') {
      return { ...about, state: isAnchorCode(code) ? 'same' : 'other', address: known, cost: 0n }
    }
    const asked = [payer, 'latest']
    const nonce = await this.#chain.ask(intQuantity, 'eth_getTransactionCount', asked, signal)
    // From nobody in particular: nodes refuse to reckon for a wallet that cannot pay.
    const params = [{ data: CREATION.data }, 'latest']
    const gas = await this.#chain.ask(bigQuantity, 'eth_estimateGas', params, signal)
    const cost = gas * (await this.#chain.gasPrice(signal))
    return { ...about, state: 'missing', address: createdBy(payer, nonce), cost }
  }

  async deploy(
    memory: AnchorMemory,
    tell: (line: string) => void,
    signal: AbortSignal,
  ): Promise<AnchorPlace> {
    let txs = await memory.load()
    for (let poll = 0; poll < POLLS_MAX; poll += 1) {
      const newest = txs.at(-1)
      if (newest === undefined) {
        txs = [await this.#lane.sign({ what: 'deploy UsageAnchor', body: CREATION }, signal)]
        await memory.save(txs)
        tell(`deploy UsageAnchor: transaction ${txs[0]?.id} of ${this.#lane.address}`)
        continue
      }
      await this.#send(newest, signal)
      const fate = await this.#fateOf(txs, signal)
      if (fate !== undefined && fate !== 'gone') {
        tell(`deploy UsageAnchor: done, ${fate.address}`)
        return fate
      }
      if (fate === 'gone') {
        txs = []
        await memory.save(txs)
        continue
      }
      const rescue = await this.#lane.rescue(txs, signal)
      if (rescue?.role === 'variant') {
        txs = [...txs, rescue.tx]
        await memory.save(txs)
        continue
      }
      await sleep(POLL_MS, undefined, { signal })
    }
    const fix = 'Look at the node and the wallet, then run the same command again.'
    throw new RetryableError('anchor_not_landed', `UsageAnchor is not deployed yet. ${fix}`)
  }

  async terms(
    anchor: Hex,
    policy: Hex,
    rewardEpoch: number,
    signal: AbortSignal,
  ): Promise<Omit<DeploymentTerms, 'epochsKept' | 'checkpointDelayS' | 'meterDelayS'>> {
    const { chainId, registryRefreshMs: refreshMs, pastRelays } = this.#config
    const memory = { saveRelay: async () => {}, relays: async () => [] }
    const book = new ContractBook({ chain: this.#chain, refreshMs, pastRelays, memory })
    const { relay } = await book.current(signal)
    const ask = (method: string, args: readonly unknown[]) =>
      this.#chain.view(interfaces.relay, relay, method, args, signal)
    const [onChain] = await ask('toSigningPolicyHash', [rewardEpoch])
    if (schemeOf(policy, hash(String(onChain)), chainId) !== 'bound') {
      const fix = 'Write deployment.json yourself, with the bounds: see docs/vaults.md.'
      const why = `Flare chain ${chainId} does not bind its digests to the chain yet`
      throw new ConfigError('legacy_digests', `${why}. ${fix}`)
    }
    const state = await ask('stateData', [])
    return {
      flareChainId: chainId,
      sourceId: FLARE_NETWORKS[chainId].sourceId,
      anchor,
      checkpoint: policy,
      firstEpochStartRound: Number(state.firstRewardEpochStartVotingRoundId),
      roundsPerEpoch: Number(state.rewardEpochDurationInVotingEpochs),
      boundMessageFromRound: undefined,
      boundPolicyFromEpoch: undefined,
    }
  }

  /** As often as need be: a node that has it takes it as taken. */
  async #send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    try {
      await this.#lane.send(tx, signal)
    } catch (error) {
      // It may pay too little by now: `rescue` sees to that.
      if (!(error instanceof RetryableError && error.code === 'transaction_not_taken')) throw error
    }
  }

  /** Of all variants one can land. Undefined: one of them still may. */
  async #fateOf(
    txs: readonly SignedTx[],
    signal: AbortSignal,
  ): Promise<AnchorPlace | 'gone' | undefined> {
    let isOpen = false
    for (const tx of txs) {
      const fate = await this.#lane.fate(tx, signal)
      if (fate === 'landed') return this.#placeOf(tx, signal)
      if (fate === 'refused') {
        throw new TerminalError('transaction_refused', `${tx.id} failed: was its gas enough?`)
      }
      if (fate === 'open') isOpen = true
    }
    return isOpen ? undefined : 'gone'
  }

  async #placeOf({ id, bytes }: SignedTx, signal: AbortSignal): Promise<AnchorPlace> {
    const receipt = await this.#chain.receipt(id, signal)
    const address = createdBy(this.#lane.address, Transaction.from(bytes).nonce)
    return { address, block: receipt?.blockNumber ?? 0 }
  }
}

function createdBy(from: Hex, nonce: number): Hex {
  return getCreateAddress({ from, nonce }).toLowerCase() as Hex
}
