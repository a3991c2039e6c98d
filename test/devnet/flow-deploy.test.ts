import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  array,
  type CadenceValue,
  type Plain,
  string,
  uint,
} from '../../devnet/flow/cadence-json.js'
import {
  type Deployed,
  deployContracts,
  flowVaultType,
  openVaults,
  type Provider,
  runFile,
  setFlowPrice,
  setUpProvider,
} from '../../devnet/flow/deploy.js'
import { type Emulator, startEmulator } from '../../devnet/flow/emulator.js'

const FLOW = 10n ** 8n
const WAD = 10n ** 18n
const METER = `0x${'7e'.repeat(20)}`

interface Row {
  readonly modelId: number
  readonly promptTokens: string
  readonly cachedPromptTokens: string
  readonly completionTokens: string
  readonly requests: string
}
interface PriceVectors {
  readonly cases: readonly {
    readonly mode: string
    readonly rows: readonly Row[]
    readonly billableTenThousandths: string
    readonly priceWad: string
  }[]
}
interface RelayVectors {
  readonly policies: { readonly items: readonly { readonly bytes: string }[] }
}
const prices = vectors('prices.json') as PriceVectors
const { policies } = vectors('relay.json') as RelayVectors

const dir = mkdtempSync(join(tmpdir(), 'flowmeter-deploy-'))
let emulator: Emulator
let deployed: Deployed
let provider: Provider

beforeAll(async () => {
  emulator = await startEmulator({ dir, blockTimeMs: 1000 })
  const client = emulator.client.with({ minesAtOnce: true })
  deployed = await deployContracts(client, {
    chainId: 114n,
    checkpoint: policies.items[0]?.bytes ?? '',
    firstEpochStartRound: 0,
    roundsPerEpoch: 240,
    epochsKept: 4,
    anchor: `0x${'aa'.repeat(20)}`,
    sourceId: 'testFLR',
  })
  await setFlowPrice(deployed, {
    currency: 'USD',
    price: WAD / 2n,
    minimum: WAD / 100n,
    maximum: 100n * WAD,
    maxAgeSeconds: 3_600,
  })
  provider = await setUpProvider(deployed.client, { meter: METER })
})

afterAll(async () => {
  await emulator?.stop()
  rmSync(dir, { recursive: true, force: true })
})

test('the contracts are there, with what they were given', async () => {
  const lightClient = await runFile(deployed.client, 'get_light_client', [])
  expect(lightClient).toMatchObject({ chainId: 114n, roundsPerEpoch: 240n, lastEpoch: 6104n })
  const name = `flow:emulator:${deployed.account.address.slice(2)}`
  const sourceId = BigInt(`0x${Buffer.from('testFLR').toString('hex').padEnd(64, '0')}`)
  const target = await runFile(deployed.client, 'get_target', [])
  expect(target).toMatchObject({ name, anchor: 'aa'.repeat(20), sourceId })
  const pair = [string(flowVaultType(deployed.client)), string('USD')]
  const price = await runFile(deployed.client, 'get_token_price', pair)
  expect(price).toMatchObject({ price: WAD / 2n, current: WAD / 2n })
})

test('the provider has its models, its plan and its meter', async () => {
  const [id, planId] = [uint('UInt64', provider.id), uint('UInt64', provider.planId)]
  const models = await runFile(deployed.client, 'get_models', [id])
  expect(models).toEqual([...provider.models.keys()])
  expect([...provider.models.values()]).toEqual([1, 2, 3, 4])
  // The worked prices of the default plan, as far as they name its first two models.
  const ours = prices.cases.filter(
    ({ mode, rows }) => mode === 'graduated' && rows.every(({ modelId }) => modelId < 3),
  )
  expect(ours.length).toBeGreaterThan(1)
  for (const { rows, billableTenThousandths, priceWad } of ours) {
    const column = (type: string, pick: (row: Row) => string | number): CadenceValue =>
      array(rows.map((row) => ({ type, value: String(pick(row)) })))
    const quote = await runFile(deployed.client, 'quote_price', [
      planId,
      column('UInt16', (row) => row.modelId),
      column('UInt64', (row) => row.promptTokens),
      column('UInt64', (row) => row.cachedPromptTokens),
      column('UInt64', (row) => row.completionTokens),
      column('UInt32', (row) => row.requests),
    ])
    expect(quote).toEqual({ billable: BigInt(billableTenThousandths), price: BigInt(priceWad) })
  }
  const stream = await runFile(deployed.client, 'get_stream', [id])
  expect(stream).toMatchObject({ meter: METER.slice(2), meterEpoch: 1n })
})

test('vaults are open and funded, on free numbers and on reserved ones', async () => {
  const vaults = [{ deposit: '25.0' }, { deposit: '5.0', number: 2n ** 63n }, { deposit: '0.0' }]
  const opened = await openVaults(deployed.client, provider, vaults)
  const numbers = opened.map(({ number }) => number)
  expect(numbers[1]).toBe(2n ** 63n)
  expect(new Set(numbers).size).toBe(3)
  const accounts = array(numbers.map((number) => uint('UInt64', number)))
  const args = [uint('UInt64', provider.id), accounts]
  const balances = (await runFile(deployed.client, 'get_balances', args)) as readonly Plain[]
  expect(balances).toMatchObject([
    { account: numbers[0], balance: 25n * FLOW, owed: 0n },
    { account: numbers[1], balance: 5n * FLOW, owed: 0n },
    { account: numbers[2], balance: 0n, owed: 0n },
  ])
})

function vectors(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8'))
}
