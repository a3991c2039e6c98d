import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Interface } from 'ethers'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type LocalKms, startLocalKms } from '../../devnet/aws-kms/index.js'
import { type Anvil, startAnvil } from '../../devnet/flare/anvil.js'
import { Chain } from '../../devnet/flare/chain.js'
import { freePorts } from '../../devnet/ports.js'
import { usageAnchorAbi } from '../../src/attestors/flare/abi.js'
import { usageAnchorCreationCode } from '../../src/attestors/flare/anchor-code.js'
import { FlareChain } from '../../src/attestors/flare/chain.js'
import { RpcClient } from '../../src/attestors/flare/client.js'
import { type FlareConfig, flareConfig } from '../../src/attestors/flare/config.js'
import { EvmKey } from '../../src/attestors/flare/evm-key.js'
import { type EvmCall, FlareLane } from '../../src/attestors/flare/lane.js'
import type { BatchHeader } from '../../src/domain/batch.js'
import { fromHex, type Hex, keccak, u64, ZERO_HASH } from '../../src/domain/bytes.js'
import { ConfigError, RetryableError, TerminalError } from '../../src/domain/errors.js'
import { batchSeq } from '../../src/domain/ids.js'
import type { Call } from '../../src/ports/lane.js'
import { laneContract } from '../ports/lane-contract.js'
import { awsEnv } from '../support/aws-env.js'
import { evmKeyOf, meterKeyOf } from '../support/test-keys.js'

const anchorInterface = new Interface(usageAnchorAbi)
const end = new AbortController()
const { signal } = end
let folder: string
let anvil: Anvil
let chain: Chain
let anchorAddress: Hex
let closedPort: number

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flowmeter-lane-'))
  anvil = await startAnvil(folder)
  chain = new Chain(anvil.rpcUrl, signal)
  const [port = 0] = await freePorts(1)
  closedPort = port
  const data = usageAnchorCreationCode
  const { contractAddress } = await chain.transact({ from: accountAt(0).address, data })
  anchorAddress = `${contractAddress}` as Hex
})
afterAll(async () => {
  end.abort()
  await anvil?.stop()
  rmSync(folder, { recursive: true })
})

function accountAt(index: number) {
  const account = anvil.accounts[index]
  if (account === undefined) throw new Error(`no account ${index}`)
  return account
}

function configOf(account: number, more: Record<string, unknown> = {}): FlareConfig {
  return flareConfig.parse({
    rpcUrls: anvil.rpcUrl,
    anchorAddress,
    gasKey: accountAt(account).privateKey,
    meterKey: `0x${'07'.repeat(32)}`,
    ...more,
  })
}

function laneOf(config: FlareConfig, key = evmKeyOf(config.gasKey)): FlareLane {
  const flareChain = new FlareChain(new RpcClient(config), config.logWindowBlocks)
  return new FlareLane({
    ...{ chain: flareChain, key, config },
    explain: () => undefined,
  })
}

/** A transfer of one wei to an address that has nothing. */
function gift(to: Hex): Call {
  const body: EvmCall = { to, data: '0x', value: 1n }
  return { what: 'give a wei', body }
}

let meters = 0
/** The first batch of a meter of its own. */
async function firstBatch(): Promise<Hex> {
  meters += 1
  const meterKey = keccak(u64(meters))
  const signerFile = join(folder, `signer-${meters}.json`)
  const key = meterKeyOf({ chainId: 114, anchorAddress, meterKey, signerFile })
  const root = keccak(u64(meters))
  const header: BatchHeader = {
    ...{ seq: batchSeq(1n), root, prevRoot: ZERO_HASH },
    ...{ sealedAt: 1_790_000_000, target: root, manifest: root },
  }
  return anchorInterface.encodeFunctionData('anchor', [header, await key.sign(header)]) as Hex
}

/** What a lane's calls do there. */
function worldOf(receiver: Hex) {
  return {
    call: () => gift(receiver),
    effects: async () => Number(await chain.rpc('eth_getBalance', [receiver, 'latest'])),
    doomedCall: async () => {
      const data = await firstBatch()
      const body: EvmCall = { to: anchorAddress, data, value: 0n }
      // Somebody else anchors it meanwhile, so that its number is not the next any more.
      const spoil = async () => {
        await chain.transact({ from: accountAt(0).address, to: anchorAddress, data })
      }
      return { call: { what: 'anchor', body }, spoil }
    },
  }
}

// A key in AWS KMS signs the same call in another way each time: nothing may hang on it.
describe('on anvil, with the key in AWS KMS', () => {
  let kms: LocalKms
  beforeAll(async () => {
    kms = await startLocalKms()
  })
  afterAll(() => kms?.stop())

  laneContract(async () => {
    for (const [name, value] of Object.entries(awsEnv(kms))) vi.stubEnv(name, value)
    const secret = fromHex(accountAt(5).privateKey as Hex)
    kms.makeKey('ECC_SECG_P256K1', 'alias/gas', secret)
    const key = () => EvmKey.open('aws-kms:alias/gas', 'FLARE_GAS_KEY')
    const [own, restarted] = [await key(), await key()]
    const config = configOf(5)
    const receiver: Hex = `0x${'c5'.repeat(20)}`
    const world = worldOf(receiver)
    return {
      ...world,
      lane: laneOf(config, own),
      reopen: () => laneOf(config, restarted),
      cutOff: () => laneOf(configOf(5, { rpcUrls: `http://127.0.0.1:${closedPort}` }), restarted),
      end: async () => void vi.unstubAllEnvs(),
    }
  })
})

describe('on anvil', () => {
  laneContract(async () => ({
    ...worldOf(`0x${'c0'.repeat(20)}`),
    lane: laneOf(configOf(1)),
    reopen: () => laneOf(configOf(1)),
    cutOff: () => laneOf(configOf(1, { rpcUrls: `http://127.0.0.1:${closedPort}` })),
    end: async () => {},
  }))

  test('the same fields give the same bytes, and so the same id', async () => {
    const lane = laneOf(configOf(2))
    const call = gift(`0x${'c1'.repeat(20)}`)
    const [one, two] = [await lane.sign(call, signal), await lane.sign(call, signal)]
    expect(two).toEqual(one)
  })

  test('what the contract refuses is not signed, and the reason is told', async () => {
    const data = await firstBatch()
    await chain.transact({ from: accountAt(0).address, to: anchorAddress, data })
    const config = configOf(2)
    const explain = (revertData: unknown) => anchorInterface.parseError(String(revertData))?.name
    const flareChain = new FlareChain(new RpcClient(config), 30)
    const lane = new FlareLane({ chain: flareChain, key: evmKeyOf(config.gasKey), config, explain })
    const call = { what: 'anchor', body: { to: anchorAddress, data, value: 0n } }
    const refused = lane.sign(call, signal)
    await expect(refused).rejects.toThrow(TerminalError)
    await expect(refused).rejects.toThrow('SeqNotNext')
  })

  test('an empty wallet is named, and waits for money', async () => {
    const poor = laneOf(configOf(2, { gasKey: `0x${'05'.repeat(32)}` }))
    const tried = poor.sign(gift(`0x${'c2'.repeat(20)}`), signal)
    await expect(tried).rejects.toThrow(RetryableError)
    await expect(tried).rejects.toMatchObject({ code: 'gas_wallet_empty' })
    await expect(tried).rejects.toThrow(poor.address)
  })

  test('nothing is signed while gas is too dear', async () => {
    const { baseFeePerGas } = (await chain.rpc('eth_getBlockByNumber', ['latest', false])) as {
      baseFeePerGas: string
    }
    await chain.rpc('anvil_setNextBlockBaseFeePerGas', [`0x${(9_000n * 10n ** 9n).toString(16)}`])
    await chain.rpc('evm_mine', [])
    const tried = laneOf(configOf(2)).sign(gift(`0x${'c3'.repeat(20)}`), signal)
    await expect(tried).rejects.toMatchObject({ code: 'gas_price_too_high' })
    await chain.rpc('anvil_setNextBlockBaseFeePerGas', [baseFeePerGas])
    await chain.rpc('evm_mine', [])
    await expect(
      laneOf(configOf(2)).sign(gift(`0x${'c3'.repeat(20)}`), signal),
    ).resolves.toBeDefined()
  })

  test('a node that is down is passed over, one of another chain is refused', async () => {
    const down = `http://127.0.0.1:${closedPort}`
    const lane = laneOf(configOf(3, { rpcUrls: `${down}, ${anvil.rpcUrl}` }))
    await expect(lane.sign(gift(`0x${'c4'.repeat(20)}`), signal)).resolves.toBeDefined()
    const lost = laneOf(configOf(3, { chainId: 14 })).balance(signal)
    await expect(lost).rejects.toThrow(ConfigError)
    await expect(lost).rejects.toMatchObject({ code: 'wrong_chain' })
  })
})
