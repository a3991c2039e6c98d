import { expect, test } from 'vitest'
import { contractKeys, governors } from '../../../src/settlers/flow/trusted-keys.js'

const key = (index: number, weight: number, isRevoked = false) => ({ index, weight, isRevoked })

test.each([
  ['one key', [key(0, 1000)], /^1 of 1 keys count, 0 revoked: key 0 alone can change every/, true],
  ['two that each suffice', [key(0, 1000), key(1, 1000)], /key 0 or 1 alone/, true],
  ['two of three', [key(0, 500), key(1, 500), key(2, 500)], /at least 2 have to sign/, false],
  ['a full one that is revoked', [key(0, 1000, true), key(1, 500)], /nobody can change/, false],
  ['none', [], /^0 of 0 keys count, 0 revoked: nobody can change/, false],
] as const)('%s', (_, keys, says, isWarning) => {
  const { detail, fix } = contractKeys({ keys: [...keys] })
  expect(detail).toMatch(says)
  expect(fix !== undefined).toBe(isWarning)
})

test('governance, at rest and about to act', () => {
  const keys = {
    ...{ keys: [], holdsCheckpoints: true, holdsPrices: true, holdsTokens: false },
    ...{ checkpointDelay: 86_400, meterDelay: 3_600, proposedEpoch: null, adoptableAt: null },
  }
  expect(governors(keys)).toEqual({
    detail:
      'the contract account governs checkpoints, prices; checkpoints wait 86400 s, meters 3600 s',
  })
  const about = governors({ ...keys, proposedEpoch: 7_001, adoptableAt: 1_790_000_000 })
  expect(about.detail).toContain('reward epoch 7001 is proposed, from 2026-09-21T14:13:20.000Z on')
  expect(about.fix).toContain('flowmeter checkpoint')
  const none = { ...keys, holdsCheckpoints: false, holdsPrices: false }
  expect(governors(none).detail).toContain('governs nothing')
})
