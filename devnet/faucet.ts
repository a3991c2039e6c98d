import { Chain } from './flare/chain.js'
import { type JsonServer, serveJson } from './flare/json-server.js'
import type { Devnet } from './index.js'

const FLOW = '1000.0'
const WEI = 100n * 10n ** 18n

/**
 * What the faucets of the public test networks are:
 *
 * GET /flare/0x…       100 FLR for an address
 * GET /flow/<x ‖ y>     a new account with 1,000 FLOW for a public key of P-256, in hex
 *
 * Each answers with the address, `{ "address": "0x…" }`.
 */
export async function startFaucet({
  flare,
  flow,
}: {
  readonly flare: Devnet['flare']
  readonly flow: Pick<Devnet['flow'], 'client'>
}): Promise<JsonServer> {
  const [, rich] = flare.accounts
  if (rich === undefined) throw new Error('anvil has too few accounts')
  const life = new AbortController()
  const chain = new Chain(flare.rpcUrl, life.signal)
  const server = await serveJson(async ({ path }) => {
    const [, address] = /^\/flare\/(0x[0-9a-fA-F]{40})$/.exec(path) ?? []
    if (address !== undefined) {
      await chain.transact({ from: rich.address, to: address, data: '0x', value: WEI })
      return { status: 200, body: { address } }
    }
    const [, publicKey] = /^\/flow\/([0-9a-f]{128})$/.exec(path) ?? []
    if (publicKey !== undefined) {
      const made = await flow.client.createAccountFor(publicKey, { keys: 1, fundFlow: FLOW })
      return { status: 200, body: { address: made } }
    }
    return { status: 404, body: { error: 'ask for /flare/<address> or /flow/<public key>' } }
  })
  const stop = async (): Promise<void> => {
    life.abort()
    await server.stop()
  }
  return { url: server.url, stop }
}
