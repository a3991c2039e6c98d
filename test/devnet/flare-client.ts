import { setTimeout as sleep } from 'node:timers/promises'
import {
  AbiCoder,
  Contract,
  encodeBytes32String,
  type InterfaceAbi,
  JsonRpcProvider,
  keccak256,
  type TransactionReceipt,
  Wallet,
} from 'ethers'
import type { LocalFlare } from '../../devnet/flare/index.js'
import {
  fdcHubAbi,
  fdcRequestFeeConfigurationsAbi,
  fdcVerificationAbi,
  flareContractRegistryAbi,
  flareSystemsManagerAbi,
  relayAbi,
  usageAnchorAbi,
} from '../../src/attestors/flare/abi.js'
import { PATIENCE_MS } from '../support/patience.js'

const POLL_MS = 100

/** Asks until there is an answer. */
export async function until<Answer>(
  what: string,
  ask: () => Promise<Answer | undefined>,
): Promise<Answer> {
  const deadlineMs = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`)
    await sleep(POLL_MS)
  }
}

export interface Posted {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look at it with expect.
  readonly body: any
}

export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Posted> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() }
}

export async function get(url: string): Promise<Posted> {
  const response = await fetch(url)
  return { status: response.status, body: await response.json() }
}

export interface Header {
  readonly seq: bigint
  readonly root: string
  readonly prevRoot: string
}

/** A user of the network who knows it by the registry's address and Flare's ABIs alone. */
export class FlareClient {
  readonly #flare: LocalFlare
  readonly provider: JsonRpcProvider
  readonly meter = Wallet.createRandom()
  readonly #sender: Wallet

  constructor(flare: LocalFlare) {
    this.#flare = flare
    this.provider = new JsonRpcProvider(flare.rpcUrl, flare.chainId, {
      staticNetwork: true,
      cacheTimeout: -1,
      pollingInterval: POLL_MS,
    })
    const [account] = flare.accounts
    if (account === undefined) throw new Error('nobody has coins')
    this.#sender = new Wallet(account.privateKey, this.provider)
  }

  stop(): void {
    this.provider.destroy()
  }

  async contract(name: string): Promise<Contract> {
    const abis: Record<string, InterfaceAbi> = {
      FlareSystemsManager: flareSystemsManagerAbi,
      FdcHub: fdcHubAbi,
      FdcRequestFeeConfigurations: fdcRequestFeeConfigurationsAbi,
      FdcVerification: fdcVerificationAbi,
      Relay: relayAbi,
    }
    const { registryAddress } = this.#flare
    const registry = new Contract(registryAddress, flareContractRegistryAbi, this.provider)
    const address = (await registry.getFunction('getContractAddressByName')(name)) as string
    return new Contract(address, abis[name] ?? [], this.#sender)
  }

  get anchorContract(): Contract {
    return new Contract(this.#flare.anchorAddress, usageAnchorAbi, this.#sender)
  }

  /** Anchors a batch that the meter signs. */
  async anchor({ seq, root, prevRoot }: Header): Promise<TransactionReceipt> {
    const batch = {
      seq,
      root,
      prevRoot,
      sealedAt: BigInt(Math.floor(Date.now() / 1000)),
      target: keccak256('0x01'),
      manifest: keccak256('0x02'),
    }
    const domain = {
      name: 'Flowmeter',
      version: '1',
      chainId: this.#flare.chainId,
      verifyingContract: this.#flare.anchorAddress,
    }
    const field = (name: string, type: string) => ({ name, type })
    const UsageBatch = [
      field('seq', 'uint64'),
      field('root', 'bytes32'),
      field('prevRoot', 'bytes32'),
      field('sealedAt', 'uint64'),
      field('target', 'bytes32'),
      field('manifest', 'bytes32'),
    ]
    const signature = await this.meter.signTypedData(domain, { UsageBatch }, batch)
    const sent = await this.anchorContract.getFunction('anchor')(batch, signature)
    return sent.wait()
  }

  /** Has the verifier make the request for the anchor event in a receipt. */
  async prepare({ hash, logs }: TransactionReceipt): Promise<Posted> {
    const url = `${this.#flare.verifierUrl}/verifier/flr/EVMTransaction/prepareRequest`
    return post(url, requestFor(hash, [String(logs[0]?.index)]), {
      'X-API-KEY': this.#flare.verifierKey,
    })
  }

  async prepared(receipt: TransactionReceipt): Promise<string> {
    const { body } = await this.prepare(receipt)
    if (body.status !== 'VALID') throw new Error(`the verifier says ${JSON.stringify(body)}`)
    return body.abiEncodedRequest
  }

  /** Requests an attestation, for the fee that is asked for. @returns the round it is in. */
  async request(bytes: string): Promise<number> {
    const fees = await this.contract('FdcRequestFeeConfigurations')
    const value = (await fees.getFunction('getRequestFee')(bytes)) as bigint
    const hub = await this.contract('FdcHub')
    const sent = await hub.getFunction('requestAttestation')(bytes, { value })
    const receipt = (await sent.wait()) as TransactionReceipt
    const manager = await this.contract('FlareSystemsManager')
    const start = Number(await manager.getFunction('firstVotingRoundStartTs')())
    const seconds = Number(await manager.getFunction('votingEpochDurationSeconds')())
    const { timestamp } = await receipt.getBlock()
    return Math.floor((timestamp - start) / seconds)
  }

  async isFinalized(round: number): Promise<boolean> {
    const relay = await this.contract('Relay')
    return (await relay.getFunction('isFinalized')(200, round)) as boolean
  }

  async untilFinalized(round: number): Promise<void> {
    const ask = async () => ((await this.isFinalized(round)) ? true : undefined)
    await until(`the root of round ${round}`, ask)
  }

  /** The round of the latest block. */
  async currentRound(): Promise<number> {
    const relay = await this.contract('Relay')
    const block = await this.provider.getBlock('latest')
    return Number(await relay.getFunction('getVotingRoundId')(block?.timestamp ?? 0))
  }

  async untilRound(round: number): Promise<void> {
    const ask = async () => ((await this.currentRound()) >= round ? true : undefined)
    await until(`round ${round}`, ask)
  }

  proof(requestBytes: string, votingRoundId?: number): Promise<Posted> {
    const url = `${this.#flare.daUrl}/api/v1/fdc/proof-by-request-round-raw`
    return post(url, { requestBytes, ...(votingRoundId !== undefined && { votingRoundId }) })
  }

  untilProof(requestBytes: string, votingRoundId: number): Promise<Posted> {
    return until(`the proof of round ${votingRoundId}`, async () => {
      const answer = await this.proof(requestBytes, votingRoundId)
      return answer.status === 200 ? answer : undefined
    })
  }

  async verify(responseHex: string, merkleProof: readonly string[]): Promise<boolean> {
    const verification = await this.contract('FdcVerification')
    const method = verification.interface.getFunction('verifyEVMTransaction')
    const response = method?.inputs[0]?.components?.[1]
    if (!method || !response) throw new Error('the ABI has no response')
    const [data] = AbiCoder.defaultAbiCoder().decode([response], responseHex)
    // Not through the contract's own method: ethers cannot take back the arrays that it decoded.
    const call = verification.interface.encodeFunctionData(method, [{ merkleProof, data }])
    const to = await verification.getAddress()
    return BigInt(await this.provider.call({ to, data: call })) === 1n
  }
}

/** What the verifier is asked about a transaction's events. */
export function requestFor(
  transactionHash: string,
  logIndices: readonly string[],
  source = 'testFLR',
): unknown {
  return {
    attestationType: encodeBytes32String('EVMTransaction'),
    sourceId: encodeBytes32String(source),
    requestBody: {
      transactionHash,
      requiredConfirmations: '1',
      provideInput: false,
      listEvents: true,
      logIndices,
    },
  }
}
