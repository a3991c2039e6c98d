import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Interface } from 'ethers'
import { type Account, type Anvil, startAnvil } from '../../devnet/flare/anvil.js'
import { type Artifact, compiledContracts } from '../../devnet/flare/artifacts.js'
import { Chain, RpcError } from '../../devnet/flare/chain.js'
import { type Deployed, deployContract } from '../../devnet/flare/deploy.js'

export interface LocalChain {
  readonly chain: Chain
  readonly artifact: (name: string) => Artifact
  readonly accounts: readonly Account[]
  deploy(name: string, args?: readonly unknown[]): Promise<Deployed>
  stop(): Promise<void>
}

/** A fresh anvil that mines at once, and the compiled contracts. The first account deploys. */
export async function startLocalChain(): Promise<LocalChain> {
  const dir = await mkdtemp(join(tmpdir(), 'flowmeter-anvil-'))
  const anvil: Anvil = await startAnvil(dir)
  const end = new AbortController()
  const chain = new Chain(anvil.rpcUrl, end.signal)
  const artifact = await compiledContracts()
  const from = addressOf(anvil.accounts, 0)
  return {
    chain,
    artifact,
    accounts: anvil.accounts,
    deploy: (name, args = []) => deployContract(chain, from, artifact(name), args),
    async stop() {
      end.abort()
      await anvil.stop()
      rmSync(dir, { recursive: true })
    },
  }
}

export function addressOf(accounts: readonly Account[], index: number): string {
  const account = accounts[index]
  if (account === undefined) throw new Error(`no account ${index}`)
  return account.address
}

/** Calls a contract method without a transaction, and decodes what it returns. */
export async function read(
  chain: Chain,
  { address, abi }: Deployed,
  method: string,
  args: readonly unknown[] = [],
): Promise<unknown> {
  const result = await chain.call(address, abi.encodeFunctionData(method, args))
  return abi.decodeFunctionResult(method, result)[0]
}

/**
 * Why a call would be refused: `Name()` of a typed error, with the types of its arguments, or the
 * words of an untyped one. Undefined when it would be taken.
 */
export async function refusalOf(
  chain: Chain,
  abi: Interface,
  call: { from: string; to: string; data: string; value?: string },
): Promise<string | undefined> {
  try {
    await chain.rpc('eth_call', [call, 'latest'])
    return undefined
  } catch (error) {
    if (!(error instanceof RpcError) || error.data === undefined) throw error
    const parsed = abi.parseError(error.data)
    if (parsed === null) return `unknown error ${error.data}`
    return parsed.name === 'Error' ? String(parsed.args[0]) : parsed.signature
  }
}
