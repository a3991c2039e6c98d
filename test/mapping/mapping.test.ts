import { describe, expect, test } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import { createMapping, mappingConfig, whyUnmapped } from '../../src/mapping/index.js'
import type { MappingData } from '../../src/mapping/strategy.js'

const U64_MAX = 2n ** 64n - 1n
const account = (value: bigint) => accountNumber(value)
const none: MappingData = { directory: new Map() }

function mapWith(chain: unknown[], directory: Record<string, bigint> = {}) {
  const map = createMapping(mappingConfig.parse({ chain }))
  const entries = Object.entries(directory).map(
    ([payer, value]) => [payer, account(value)] as const,
  )
  return (payer: string) => map(payer, { directory: new Map(entries) })
}

/** Spellings of which exactly one may be a number, or two payers could share an account. */
const NUMBERS: readonly (readonly [string, bigint | undefined])[] = [
  ['0', 0n],
  ['42', 42n],
  ['18446744073709551615', U64_MAX],
  ['18446744073709551616', undefined],
  ['99999999999999999999', undefined],
  ['100000000000000000000', undefined],
  ['1'.repeat(400), undefined],
  ['9007199254740993', 9_007_199_254_740_993n],
  [' 42', undefined],
  ['42 ', undefined],
  ['42\n', undefined],
  ['\t42', undefined],
  ['042', undefined],
  ['00', undefined],
  ['+42', undefined],
  ['-42', undefined],
  ['-0', undefined],
  ['1e3', undefined],
  ['0x2a', undefined],
  ['0b1', undefined],
  ['4_2', undefined],
  ['4,2', undefined],
  ['42.0', undefined],
  ['42n', undefined],
  ['٤٢', undefined], // Arabic-Indic digits
  ['４２', undefined], // full width digits
  ['४२', undefined], // Devanagari digits
  ['4²', undefined],
  ['four', undefined],
]

describe('direct', () => {
  const map = mapWith([{ kind: 'direct' }])

  test.each(NUMBERS)('%j', (payer, expected) => {
    expect(map(payer).account).toBe(expected)
  })
})

describe('prefix', () => {
  const map = mapWith([{ kind: 'prefix', prefix: 'vault_' }])

  test.each(NUMBERS)('vault_%s', (rest, expected) => {
    expect(map(`vault_${rest}`).account).toBe(expected)
  })

  test.each(['vault_', 'Vault_42', ' vault_42', 'vault-42', '42', 'vault_vault_42', 'vault_42x'])(
    '%j is nobody',
    (payer) => {
      expect(map(payer).account).toBeUndefined()
    },
  )

  test('is vault_ unless it is set, and is no pattern', () => {
    expect(mapWith([{ kind: 'prefix' }])('vault_7').account).toBe(7n)
    expect(mapWith([{ kind: 'prefix', prefix: 'v.' }])('vx7').account).toBeUndefined()
    expect(mapWith([{ kind: 'prefix', prefix: 'v.' }])('v.7').account).toBe(7n)
  })
})

describe('directory', () => {
  const map = mapWith([{ kind: 'directory' }], { alice: 7n, 'Bob ': U64_MAX, '42': 9n })

  test('says what the table says, letter by letter', () => {
    expect(map('alice').account).toBe(7n)
    expect(map('Bob ').account).toBe(U64_MAX)
    expect(map('42').account).toBe(9n)
    for (const payer of ['Alice', 'alice ', 'Bob', '__proto__']) {
      expect(map(payer).account).toBeUndefined()
    }
  })
})

describe('hash', () => {
  const map = mapWith([{ kind: 'hash' }])

  // keccak-256 of "flowmeter.account.v1", a zero byte and the payer; computed with ethers.
  test.each([
    ['alice', 10_772_135_180_379_518_438n],
    ['überraschung', 9_969_765_395_369_137_147n],
  ])('%s is the first 64 bits of its hash', (payer, expected) => {
    expect(map(payer).account).toBe(expected)
  })

  test('tells payers apart', () => {
    const payers = Array.from({ length: 2_000 }, (_, i) => `user-${i}`)
    expect(new Set(payers.map((payer) => map(payer).account)).size).toBe(payers.length)
  })
})

describe('a chain', () => {
  const chain = [{ kind: 'directory' }, { kind: 'prefix', prefix: 'vault_' }, { kind: 'direct' }]
  const map = mapWith(chain, { alice: 7n, vault_1: 100n, '5': 500n })

  test('takes the first answer, in its order', () => {
    expect(map('vault_1')).toMatchObject({ account: 100n, strategy: 'directory' })
    expect(map('vault_2')).toMatchObject({ account: 2n, strategy: 'prefix' })
    expect(map('5')).toMatchObject({ account: 500n, strategy: 'directory' })
    expect(map('6')).toMatchObject({ account: 6n, strategy: 'direct' })
    expect(mapWith([...chain].reverse(), { '5': 500n })('5')).toMatchObject({
      account: 5n,
      strategy: 'direct',
    })
  })

  test('explains every step up to the one that answered', () => {
    expect(map('vault_2')).toEqual({
      payer: 'vault_2',
      account: 2n,
      strategy: 'prefix',
      steps: [
        { strategy: 'directory', answer: 'is not in the directory' },
        { strategy: 'prefix', answer: 'account 2' },
      ],
    })
  })

  test('says of each why it had no answer', () => {
    const mapped = map('carol')
    expect(mapped.account).toBeUndefined()
    expect(mapped.steps.map(({ strategy }) => strategy)).toEqual(['directory', 'prefix', 'direct'])
    expect(whyUnmapped(mapped)).toBe(
      'directory: is not in the directory; prefix: does not begin with "vault_"; ' +
        'direct: is not a number from 0 to 18446744073709551615, written plainly',
    )
  })

  test('without settings asks directory, vault_ and direct', () => {
    const map = createMapping(mappingConfig.parse({}))
    expect(map('vault_3', none).steps.map(({ strategy }) => strategy)).toEqual([
      'directory',
      'prefix',
    ])
    expect(map('3', none)).toMatchObject({ account: 3n, strategy: 'direct' })
    expect(mappingConfig.parse({}).payerField).toBe('user')
  })

  test.each(['', 'default_user_id'])('%j is nobody, whatever the chain says', (payer) => {
    const directory = { directory: new Map([[payer, account(1n)]]) }
    const everything = createMapping(
      mappingConfig.parse({ chain: [{ kind: 'directory' }, { kind: 'hash' }] }),
    )
    const mapped = everything(payer, directory)
    expect(mapped.account).toBeUndefined()
    expect(whyUnmapped(mapped)).toMatch(/^none: /)
  })

  test('is refused when it is empty, unknown or misspelt', () => {
    for (const chain of [
      [],
      [{ kind: 'guess' }],
      [{ kind: 'prefix', prefix: '' }],
      [{ kind: 'hash', salt: 'x' }],
    ]) {
      expect(mappingConfig.safeParse({ chain }).success).toBe(false)
    }
    expect(mappingConfig.safeParse({ payerField: 'password' }).success).toBe(false)
  })
})
