import type { Hex } from '../../domain/bytes.js'
import { ConfigError, RetryableError } from '../../domain/errors.js'
import type { Finding } from '../../ports/finding.js'
import { systemClock } from '../../runtime/clock.js'
import { isAnchorCode } from './anchor-code-check.js'
import { FlareChain } from './chain.js'
import { RpcClient } from './client.js'
import { FLARE_NETWORKS, type FlareConfig, flareSettings } from './config.js'
import { ContractBook, interfaces } from './contracts.js'
import { DaLayer } from './da-layer.js'
import { EvmKey } from './evm-key.js'
import { feeQuestion } from './request.js'
import { Verifier } from './verifier.js'

const WEI_PER_MILLI_FLR = 10n ** 15n
/** About ten batches on Coston2 in 2026. */
const BALANCE_MIN_MILLI_FLR = 1_000n
/** Blocks come every second or two; a header signed by a clock so far off looks odd to anybody. */
const CLOCK_SECONDS_MAX = 60

interface Seen {
  readonly isFine: boolean
  readonly says: string
}

/** Looks at everything the attestor depends on. Costs nothing. Throws only what is a bug. */
export async function examineFlare(
  config: FlareConfig,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const client = new RpcClient(config)
  const chain = new FlareChain(client, config.logWindowBlocks)
  const nodes = await client.probe(signal)
  const isOut = nodes.every(({ problem }) => problem !== undefined)
  const looks: readonly Look[] = [
    ...nodeLooks(nodes, isOut),
    ...keyLooks(config, signal),
    ...(isOut ? [] : chainLooks(config, chain, signal)),
    ...serverLooks(config, signal),
  ]
  return Promise.all(looks.map(finish))
}

interface Look {
  readonly check: string
  readonly fix: string
  readonly find: () => Promise<Seen>
}

async function finish({ check, fix, find }: Look): Promise<Finding> {
  const { isFine, says } = await find().catch((error: unknown): Seen => {
    const isExpected = error instanceof RetryableError || error instanceof ConfigError
    if (!isExpected) throw error
    return { isFine: false, says: error.message }
  })
  return isFine ? { check, verdict: 'ok', says } : { check, verdict: 'broken', says, fix }
}

/** @param isOut no node can be used: six broken things more would each have a fix that mends nothing */
function nodeLooks(nodes: Awaited<ReturnType<RpcClient['probe']>>, isOut: boolean): Look[] {
  const fix = 'Check FLARE_ENDPOINT, FLARE_CHAIN_ID and the network between.'
  const more = ' Then look again: wallet, contracts, fees and clock cannot be seen without a node.'
  return nodes.map(({ host, problem }) => ({
    check: `flare rpc ${host}`,
    fix: isOut ? `${fix}${more}` : fix,
    find: async () => ({ isFine: problem === undefined, says: problem ?? 'reached, right chain' }),
  }))
}

function keyLooks(config: FlareConfig, signal: AbortSignal): Look[] {
  const { meterKey, gasKey } = flareSettings
  const lookAt = async (value: string, setting: string): Promise<Seen> => {
    const key = await EvmKey.open(value, setting)
    await key.check(signal)
    return { isFine: true, says: `${key.address}; the key is ${key.where}` }
  }
  return [
    {
      check: 'flare meter key',
      fix: `Make ${meterKey.env} name a key that this process may sign with.`,
      find: () => lookAt(config.meterKey, meterKey.env),
    },
    {
      check: 'flare gas key',
      fix: `Make ${gasKey.env} name a key that this process may sign with.`,
      find: () => lookAt(config.gasKey, gasKey.env),
    },
  ]
}

function chainLooks(config: FlareConfig, chain: FlareChain, signal: AbortSignal): Look[] {
  const { anchorAddress } = config
  const { registryRefreshMs: refreshMs, pastRelays } = config
  const memory = { saveRelay: async () => {}, relays: async () => [] } // A look needs no past.
  const book = new ContractBook({ chain, refreshMs, pastRelays, memory })
  return [
    {
      check: 'flare gas wallet',
      fix: 'Send FLR to it; on Coston2, https://faucet.flare.network/coston2 gives some.',
      find: async () => {
        const { address } = await EvmKey.open(config.gasKey, flareSettings.gasKey.env)
        const milli = (await chain.balance(address, signal)) / WEI_PER_MILLI_FLR
        const says = `${address} holds ${milli / 1000n}.${pad(milli % 1000n)} FLR`
        return { isFine: milli >= BALANCE_MIN_MILLI_FLR, says }
      },
    },
    {
      check: 'flare contracts',
      fix: 'Use an RPC URL of the chain in FLARE_CHAIN_ID.',
      find: async () => {
        const { relay, fdcHub, roundSeconds } = await book.current(signal)
        const says = `Relay ${relay}, FdcHub ${fdcHub}, rounds of ${roundSeconds} s`
        return { isFine: true, says }
      },
    },
    {
      check: 'flare anchor',
      fix: 'Deploy UsageAnchor ("flowmeter deploy"), or correct FLARE_ANCHOR_ADDRESS.',
      find: () => findAnchorContract(chain, anchorAddress, signal),
    },
    {
      check: 'flare fees',
      fix: 'Raise FLARE_GAS_PRICE_MAX_GWEI or FLARE_DAILY_FEE_BUDGET, or wait for a lower price.',
      find: () => findFees(config, chain, book, signal),
    },
    {
      check: 'flare clock',
      fix: 'Set this machine’s clock (NTP), or use an RPC URL that follows the chain.',
      find: async () => {
        const { timestamp } = await chain.block('latest', signal)
        const seconds = Math.round(systemClock.now() / 1000) - timestamp
        const way = seconds < 0 ? 'behind' : 'ahead of'
        const says = `this clock is ${Math.abs(seconds)} s ${way} the newest block’s`
        return { isFine: Math.abs(seconds) <= CLOCK_SECONDS_MAX, says }
      },
    },
  ]
}

async function findAnchorContract(
  chain: FlareChain,
  anchorAddress: Hex,
  signal: AbortSignal,
): Promise<Seen> {
  const code = await chain.code(anchorAddress, signal)
  if (code === '0x') {
    return { isFine: false, says: `there is no contract at ${anchorAddress}` }
  }
  const method = 'eip712Domain'
  const domain = await chain.view(interfaces.anchor, anchorAddress, method, [], signal)
  if (domain.name !== 'Flowmeter' || domain.version !== '1') {
    return { isFine: false, says: `${anchorAddress} is ${domain.name} ${domain.version}` }
  }
  const isFine = isAnchorCode(code)
  const says = isFine ? 'with the code of this release' : 'BUT NOT THE CODE OF THIS RELEASE'
  return { isFine, says: `${anchorAddress} is ${domain.name} ${domain.version}, ${says}` }
}

/** An anchor and a request, as measured. */
const BATCH_GAS = 160_000n
const GWEI = 1_000_000_000n

/** What a batch costs now, and whether the settings let it be paid. */
async function findFees(
  config: FlareConfig,
  chain: FlareChain,
  book: ContractBook,
  signal: AbortSignal,
): Promise<Seen> {
  const { feeConfigurations } = await book.current(signal)
  const { sourceId } = FLARE_NETWORKS[config.chainId]
  const { feeConfigurations: abi } = interfaces
  const asked = [feeQuestion(sourceId)]
  const view = [abi, feeConfigurations, 'getRequestFee', asked, signal] as const
  const fee = BigInt(await chain.agreed(...view))
  const price = await chain.gasPrice(signal)
  const cost = (fee + BATCH_GAS * price) / WEI_PER_MILLI_FLR
  const says =
    `a batch costs about ${cost / 1000n}.${pad(cost % 1000n)} FLR: ${fee} wei for the attestation, ` +
    `gas at ${price / GWEI} gwei`
  const isPriceFine = price <= BigInt(config.gasPriceMaxGwei) * GWEI
  return { isFine: isPriceFine && fee <= config.dailyFeeBudgetFlr, says }
}

function serverLooks(config: FlareConfig, signal: AbortSignal): Look[] {
  const daLayer: Look = {
    check: 'flare da layer',
    fix: 'Check FLARE_DA_URL. Without it batches are anchored, but nothing is proven.',
    find: async () => {
      const status = await new DaLayer(config).health(signal)
      return { isFine: status === 200, says: `it answered ${status}` }
    },
  }
  const verifier = Verifier.from(config)
  if (verifier === undefined) return [daLayer]
  const look: Look = {
    check: 'flare verifier',
    fix: 'Check FLARE_VERIFIER_URL and FLARE_API_KEY, or leave the verifier out: it is optional.',
    find: async () => {
      const status = await verifier.health(signal)
      return { isFine: status === 200 || status === 400, says: `it answered ${status}` }
    },
  }
  return [daLayer, look]
}

function pad(milli: bigint): string {
  return String(milli).padStart(3, '0')
}
