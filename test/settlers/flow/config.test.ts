import { expect, test } from 'vitest'
import { flowConfig, flowSettings, nodesOf } from '../../../src/settlers/flow/config.js'

const KEY = '0xAB'.concat('c1'.repeat(31))
const raw = {
  accountAddress: '0xF8D6E0586B0A20C7',
  privateKey: KEY,
  contractsAddress: 'f8d6e0586b0a20c7',
  providerId: '18446744073709551615',
}

test('takes texts as an environment has them, and gives typed values', () => {
  const config = flowConfig.parse({
    ...raw,
    accessNodes: 'https://node.example/, http://other.example',
    keyIndexes: '0, 3-5,12',
    scriptsPerSecond: '20',
    transactionExpiryBlocks: '600',
  })
  expect(config).toEqual({
    kind: 'flow',
    network: 'testnet',
    accessNodes: ['https://node.example', 'http://other.example'],
    accountAddress: '0xf8d6e0586b0a20c7',
    contractsAddress: '0xf8d6e0586b0a20c7',
    privateKey: `ab${'c1'.repeat(31)}`,
    keyIndexes: [0, 3, 4, 5, 12],
    providerId: 18_446_744_073_709_551_615n,
    transactionExpiryBlocks: 600,
    requestTimeoutMs: 30_000,
    scriptsPerSecond: 20,
  })
})

test('without a node, the public one of the network is asked', () => {
  const testnet = nodesOf(flowConfig.parse(raw))
  expect(testnet).toMatchObject({ accessNodes: ['https://rest-testnet.onflow.org'] })
  expect(testnet.scriptsPerSecond).toBe(5)
  const mainnet = flowConfig.parse({ ...raw, network: 'mainnet' })
  expect(nodesOf(mainnet).accessNodes).toEqual(['https://rest-mainnet.onflow.org'])
  const emulator = flowConfig.parse({ ...raw, network: 'emulator' })
  expect(nodesOf(emulator).scriptsPerSecond).toBeUndefined()
})

test.each([
  ['network', 'flow'],
  ['accessNodes', 'ftp://node.example'],
  ['accessNodes', 'node.example'],
  ['accessNodes', ''],
  ['accessNodes', 'https://node.example,'],
  ['accountAddress', '0x12'],
  ['accountAddress', '0xf8d6e0586b0a20c7f8d6e0586b0a20c7f8d6e058'],
  ['privateKey', ''],
  ['privateKey', 'z'.repeat(64)],
  ['keyIndexes', ''],
  ['keyIndexes', '0,0'],
  ['keyIndexes', '-1'],
  ['keyIndexes', '3-1'],
  ['keyIndexes', '0-100000'],
  ['keyIndexes', '0-2,2'],
  ['scriptsPerSecond', '0'],
  ['keyIndexes', '1.5'],
  ['contractsAddress', 'FLOW'],
  ['providerId', ''],
  ['providerId', '-1'],
  ['providerId', '18446744073709551616'],
  ['transactionExpiryBlocks', 'soon'],
  ['surprise', '1'],
])('refuses %s = "%s"', (name, value) => {
  const parsed = flowConfig.safeParse({ ...raw, [name]: value })
  expect(parsed.success).toBe(false)
})

test('every setting has its variable, and no refusal shows the key', () => {
  const names = Object.keys(flowConfig.shape).filter((name) => name !== 'kind')
  expect(Object.keys(flowSettings)).toEqual(names)
  const parsed = flowConfig.safeParse({ ...raw, privateKey: `${KEY}00` })
  expect(parsed.success).toBe(false)
  expect(JSON.stringify(parsed.error)).not.toContain('c1c1')
})
