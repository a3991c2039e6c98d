import { expect, test } from 'vitest'
import { flareConfig } from '../../src/attestors/flare/config.js'
import { TokenBucket } from '../../src/attestors/flare/token-bucket.js'
import { attestorSettings } from '../../src/attestors/index.js'

const least = {
  anchorAddress: '0xAbCdEf0123456789aBcDeF0123456789AbCdEf01',
  gasKey: `${'0a'.repeat(32)}\n`,
  meterKey: `0x${'0B'.repeat(32)}`,
}

test('three settings are enough for Coston2', () => {
  expect(flareConfig.parse(least)).toMatchObject({
    kind: 'flare',
    chainId: 114,
    rpcUrls: ['https://coston2-api.flare.network/ext/C/rpc'],
    anchorAddress: '0xabcdef0123456789abcdef0123456789abcdef01',
    gasKey: `0x${'0a'.repeat(32)}`,
    meterKey: `0x${'0b'.repeat(32)}`,
    daRequestsPerMinute: 15,
    logWindowBlocks: 30,
    dailyFeeBudgetFlr: 1000n * 10n ** 18n,
  })
})

test('settings may be text, as the environment has them', () => {
  const rpcUrls = 'http://127.0.0.1:8545/, https://example.org/rpc?key=1'
  const more = { rpcUrls, chainId: '14', daRequestsPerMinute: '600', dailyFeeBudgetFlr: '0.5' }
  expect(flareConfig.parse({ ...least, ...more })).toMatchObject({
    rpcUrls: ['http://127.0.0.1:8545', 'https://example.org/rpc?key=1'],
    chainId: 14,
    daRequestsPerMinute: 600,
    dailyFeeBudgetFlr: 5n * 10n ** 17n,
  })
})

test('all that is wrong is told at once, and no value with it', () => {
  const secret = 'c0ffee'
  const wrong = {
    rpcUrls: `ftp://${secret}`,
    chainId: '1',
    anchorAddress: '0x12',
    gasKey: secret,
    daUrl: secret,
    dailyFeeBudgetFlr: '-1',
    missedAfterRounds: 'soon',
  }
  const parsed = flareConfig.safeParse(wrong)
  const fields = new Set(parsed.error?.issues.map(({ path }) => path[0]))
  expect(fields).toEqual(new Set([...Object.keys(wrong), 'meterKey']))
  expect(JSON.stringify(parsed.error?.issues)).not.toContain(secret)
})

test('every setting has a variable', () => {
  const { kind: _, ...rest } = flareConfig.shape
  expect(Object.keys(attestorSettings).sort()).toEqual(Object.keys(rest).sort())
  const variables = Object.values(attestorSettings).map(({ env }) => env)
  expect(new Set(variables).size).toBe(variables.length)
})

// Goal: the DA layer lets about 20 requests a minute through. Method: ask ten times a second.
test('no minute sees more than four thirds of the rate', () => {
  let nowMs = 0
  const bucket = new TokenBucket(15, () => nowMs)
  const takenAtMs: number[] = []
  for (; nowMs < 600_000; nowMs += 100) if (bucket.take()) takenAtMs.push(nowMs)
  for (const startMs of takenAtMs) {
    const inMinute = takenAtMs.filter((atMs) => atMs >= startMs && atMs < startMs + 60_000)
    expect(inMinute.length).toBeLessThanOrEqual(20)
  }
  expect(takenAtMs.length).toBeGreaterThanOrEqual(150)
})
