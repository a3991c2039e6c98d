import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  fromHex,
  hash,
  isHex,
  join,
  keccak,
  toHex,
  u8,
  u16,
  u32,
  u64,
  u256,
} from '../../src/domain/bytes.js'
import { type CanonicalValue, canonicalJson } from '../../src/domain/canonical-json.js'
import { ConfigError, RetryableError, TerminalError } from '../../src/domain/errors.js'
import {
  accountNumber,
  batchId,
  batchName,
  batchSeq,
  eraOf,
  modelId,
  type Purpose,
  purpose,
  readBatchName,
  seqOf,
  settledSpan,
} from '../../src/domain/ids.js'
import {
  formatUfix64,
  formatWad,
  parseUfix64,
  type Ufix64Units,
  wad,
} from '../../src/domain/money.js'
import { addUsage, NO_USAGE } from '../../src/domain/usage-total.js'

describe('canonical JSON', () => {
  // The examples of RFC 8785 (3.2.2 and 3.2.3), but for their numbers, which manifests do not have.
  test('writes strings and literals as the RFC does', () => {
    const value = { string: '€$\u000f\nA\'B"\\\\"/', literals: [null, true, false] }
    const text = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    expect(canonicalJson(value)).toBe(text)
  })

  test('sorts keys by UTF-16 code units as the RFC does', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    const order = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33'] as const
    const members = order.map((key) => `${JSON.stringify(key)}:${JSON.stringify(value[key])}`)
    expect(canonicalJson(value)).toBe(`{${members.join(',')}}`)
  })

  test('says the same of equal values, whatever the order of their keys', () => {
    const { value } = fc.letrec<{ value: CanonicalValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
      ),
    }))
    fc.assert(
      fc.property(value, (one) => {
        const text = canonicalJson(one)
        expect(canonicalJson(reversed(one))).toBe(text)
        // Compared as JSON: an object with no prototype is not `toEqual` to one with.
        expect(canonicalJson(JSON.parse(text))).toBe(text)
      }),
    )
  })

  function reversed(value: CanonicalValue): CanonicalValue {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).reverse())
  }
})

describe('bytes', () => {
  test('numbers are big-endian and of fixed length', () => {
    expect([u8(1), u16(258), u32(1), u64(2n ** 64n - 1n)]).toEqual([
      '0x01',
      '0x0102',
      '0x00000001',
      '0xffffffffffffffff',
    ])
    expect(u256(1n)).toBe(`0x${'0'.repeat(63)}1`)
  })

  test.each([
    ['u8', u8, 2n ** 8n],
    ['u16', u16, 2n ** 16n],
    ['u32', u32, 2n ** 32n],
    ['u64', u64, 2n ** 64n],
    ['u256', u256, 2n ** 256n],
  ] as const)('%s refuses what does not fit', (_, write, end) => {
    expect(BigInt(write(end - 1n))).toBe(end - 1n)
    expect(() => write(end)).toThrow('does not fit')
    expect(() => write(-1n)).toThrow('does not fit')
  })

  test('hexadecimal text goes to bytes and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(new Uint8Array(bytes))
        expect(isHex(toHex(bytes))).toBe(true)
      }),
    )
    expect(['0x0', '0xGG', '0xAB', 'ab', ''].map(isHex)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ])
  })

  test('a hash is 32 bytes, in lower case', () => {
    expect(hash(`0x${'AB'.repeat(32)}`)).toBe(`0x${'ab'.repeat(32)}`)
    expect(() => hash('0xab')).toThrow('not 32 bytes')
    expect(() => hash(`0x${'zz'.repeat(32)}`)).toThrow('not 32 bytes')
  })

  test('keccak is the one of Ethereum, over all its parts', () => {
    const empty = '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
    expect(keccak()).toBe(empty)
    expect(keccak('0x0102', new Uint8Array([3]))).toBe(keccak(join('0x01', '0x0203')))
  })
})

describe('ids', () => {
  test('an account number fits 64 bits', () => {
    expect(accountNumber(2n ** 64n - 1n)).toBe(2n ** 64n - 1n)
    expect(accountNumber(0n)).toBe(0n)
    for (const value of [-1n, 2n ** 64n])
      expect(() => accountNumber(value)).toThrow('not an account')
  })

  test('batches are counted from 1, models from 0', () => {
    expect(batchSeq(1n)).toBe(1n)
    expect(() => batchSeq(0n)).toThrow('not a batch number')
    expect(modelId(65_535)).toBe(65_535)
    for (const value of [-1, 65_536, 0.5]) expect(() => modelId(value)).toThrow('not a model id')
  })

  test('a batch of a later meter has an id above all of the ones before, and a name with its meter', () => {
    const ids = [batchId(7n), batchId(0n, 1), batchId(7n, 1), batchId(1n, 12)]
    expect([...ids].sort((a, b) => (a < b ? -1 : 1))).toEqual(ids)
    expect(ids.map(eraOf)).toEqual([0, 1, 1, 12])
    expect(ids.map(seqOf)).toEqual([7n, 0n, 7n, 1n])
    expect(ids.map(batchName)).toEqual(['7', '2.0', '2.7', '13.1'])
    expect(['7', '2.7', '13.1'].map(readBatchName)).toEqual([ids[0], ids[2], ids[3]])
    for (const wrong of ['', '0', '07', '2.', '.7', '0.7', '2.0', '1.2.3', '9999999999999']) {
      expect(readBatchName(wrong)).toBeUndefined()
    }
    expect(() => batchId(1n << 40n)).toThrow('not a batch number')
  })

  test('purposes are told apart by what they do, not by when', () => {
    const seq = batchId(7n)
    const names = [
      purpose.anchor(seq),
      purpose.request(seq, 0),
      purpose.request(seq, 1),
      purpose.policy(7),
      purpose.accept(seq),
      purpose.settle(seq, { first: 0, count: 7 }),
      purpose.settle(seq, { first: 0, count: 8 }),
      purpose.settle(seq, { first: 7, count: 1 }),
    ]
    expect(new Set(names).size).toBe(names.length)
    expect(purpose.anchor(batchId(7n))).toBe('anchor/7')
  })

  test('the purpose of a settlement says which entries it is for', () => {
    const [seq, span] = [batchId(7n), { first: 128, count: 72 }]
    expect(purpose.settle(seq, span)).toBe('settle/7/128-199')
    expect(settledSpan(seq, purpose.settle(seq, span))).toEqual(span)
    expect(settledSpan(batchId(77n), purpose.settle(seq, span))).toBeUndefined()
    // The same number of the next meter is another batch.
    const next = batchId(7n, 1)
    expect(purpose.settle(next, span)).toBe('settle/2.7/128-199')
    expect(settledSpan(next, purpose.settle(next, span))).toEqual(span)
    expect(settledSpan(next, purpose.settle(seq, span))).toBeUndefined()
    expect(settledSpan(seq, purpose.accept(seq))).toBeUndefined()
    expect(settledSpan(seq, 'settle/7/0' as Purpose)).toBeUndefined()
  })
})

describe('money', () => {
  test('is written for people, exactly', () => {
    expect(
      [0n, 1n, 10n ** 18n, 15n * 10n ** 17n, -15n * 10n ** 17n].map((n) => formatWad(wad(n))),
    ).toEqual(['0', '0.000000000000000001', '1', '1.5', '-1.5'])
    expect([0n, 1n, 150_000_000n].map((n) => formatUfix64(n as Ufix64Units))).toEqual([
      '0.0',
      '0.00000001',
      '1.5',
    ])
  })

  test('UFix64 goes to text and back', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (units) => {
        expect(parseUfix64(formatUfix64(units as Ufix64Units))).toBe(units)
      }),
    )
    for (const text of ['', '1.', '-1.0', '1.123456789', '1e3', ' 1.0']) {
      expect(() => parseUfix64(text)).toThrow('not a UFix64')
    }
  })
})

describe('usage', () => {
  test('adds up field by field', () => {
    const used = { promptTokens: 5n, cachedPromptTokens: 2n, completionTokens: 3n, requests: 1n }
    expect(addUsage(NO_USAGE, used)).toEqual(used)
    expect(addUsage(used, used)).toEqual({
      promptTokens: 10n,
      cachedPromptTokens: 4n,
      completionTokens: 6n,
      requests: 2n,
    })
    const wrong = { ...NO_USAGE, cachedPromptTokens: 1n }
    expect(() => addUsage(NO_USAGE, wrong)).toThrow('part of the prompt')
  })
})

test('expected errors say their kind, their code and their cause', () => {
  const cause = new Error('why')
  for (const Kind of [RetryableError, TerminalError, ConfigError]) {
    const error = new Kind('a_code', 'a message', { cause })
    expect([error.name, error.code, error.message, error.cause]).toEqual([
      Kind.name,
      'a_code',
      'a message',
      cause,
    ])
  }
})
