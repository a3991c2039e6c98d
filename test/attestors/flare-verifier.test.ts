import { afterEach, expect, test } from 'vitest'
import { type JsonServer, serveJson } from '../../devnet/flare/json-server.js'
import { FlareChain } from '../../src/attestors/flare/chain.js'
import { RpcClient } from '../../src/attestors/flare/client.js'
import { flareConfig } from '../../src/attestors/flare/config.js'
import { interfaces } from '../../src/attestors/flare/contracts.js'
import { Verifier } from '../../src/attestors/flare/verifier.js'
import { type Hex, keccak } from '../../src/domain/bytes.js'

// Goal: money is not spent on the word of one server. Method: servers that say what they are told.

const { signal } = new AbortController()
const REQUEST: Hex = `0x${'45'.repeat(96)}`
const ANCHOR = { txHash: keccak('0x01'), blockNumber: 7, logIndex: 3 }
const FEES: Hex = `0x${'fe'.repeat(20)}`

const servers: JsonServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

async function serve(...args: Parameters<typeof serveJson>): Promise<string> {
  const server = await serveJson(...args)
  servers.push(server)
  return server.url
}

function configOf(more: object) {
  const address = `0x${'aa'.repeat(20)}`
  const keys = { gasKey: `0x${'01'.repeat(32)}`, meterKey: `0x${'02'.repeat(32)}` }
  return flareConfig.parse({ anchorAddress: address, ...keys, ...more })
}

async function compare(status: number, body: unknown, verifierPatienceMs: number): Promise<void> {
  const verifierUrl = await serve(async () => ({ status, body }))
  await Verifier.from(configOf({ verifierUrl, verifierPatienceMs }))?.compare(
    REQUEST,
    ANCHOR,
    signal,
  )
}

test('a verifier that writes the same request, in any case', async () => {
  await compare(
    200,
    { status: 'VALID', abiEncodedRequest: REQUEST.toUpperCase().replace('X', 'x') },
    0,
  )
})

test.each([
  ['fails', 500, '<html>'],
  ['takes no key of ours', 401, { message: 'Unauthorized' }],
  ['is busy', 429, ''],
  ['cannot tell', 200, { status: 'INDETERMINATE: SYSTEM_FAILURE' }],
  ['talks nonsense', 200, { valid: true }],
])('a verifier that %s has no say', async (_, status, body) => {
  await compare(status, body, 0)
})

test.each([
  ['says no', { status: 'INVALID' }, 'the verifier says INVALID of transaction 0x5fe7'],
  ['writes another', { status: 'VALID', abiEncodedRequest: '0x00' }, 'writes another request'],
])('a verifier that %s is waited for, then believed', async (_, body, why) => {
  await expect(compare(200, body, 60_000)).rejects.toMatchObject({ code: 'request_not_verified' })
  const refused = compare(200, body, 0)
  await expect(refused).rejects.toMatchObject({ code: 'request_refused' })
  await expect(refused).rejects.toThrow(why)
})

/** Two nodes that name these fees and gas prices. */
async function chainOf(...says: readonly { readonly fee: bigint; readonly gas: bigint }[]) {
  const rpcUrls = await Promise.all(
    says.map(({ fee, gas }) =>
      serve(async ({ body }) => {
        const { id, method } = body as { id: number; method: string }
        const results: Record<string, string> = {
          eth_chainId: '0x72',
          eth_blockNumber: '0x10',
          eth_gasPrice: `0x${gas.toString(16)}`,
          eth_call: interfaces.feeConfigurations.encodeFunctionResult('getRequestFee', [fee]),
        }
        return { status: 200, body: { jsonrpc: '2.0', id, result: results[method] } }
      }),
    ),
  )
  return new FlareChain(new RpcClient(configOf({ rpcUrls })), 30)
}

test('two nodes have to name the same fee; of two gas prices the lower counts', async () => {
  const view = [interfaces.feeConfigurations, FEES, 'getRequestFee', ['0x00'], signal] as const
  const agreeing = await chainOf({ fee: 1_000n, gas: 900n }, { fee: 1_000n, gas: 650n })
  expect(await agreeing.agreed(...view)).toBe('1000')
  expect(await agreeing.gasPrice(signal)).toBe(650n)
  const other = await chainOf({ fee: 1_000n, gas: 1n }, { fee: 10n ** 21n, gas: 1n })
  await expect(other.agreed(...view)).rejects.toMatchObject({ code: 'nodes_disagree' })
})
