import { describe, expect, test } from 'vitest'
import { targetOf } from '../../src/domain/batch.js'
import { hash, keccak, utf8, ZERO_HASH } from '../../src/domain/bytes.js'
import {
  chunkHash,
  chunksOf,
  compareEntries,
  type Entry,
  entryBytes,
  entryLeaf,
  ROWS_MAX,
} from '../../src/domain/entry.js'
import { accountNumber, modelId } from '../../src/domain/ids.js'
import { merklePath, merkleRoot, rootFromPath } from '../../src/domain/merkle.js'
import { receiptSalt, recordLeaf, recordsRoot } from '../../src/domain/receipt.js'
import { rowOf } from '../support/rows.js'
import { type EntryVector, formatVectors as vectors } from '../support/vectors.js'

// Goal: every byte is the one that Solidity and Cadence compute too. Method: the shared vectors.

describe('usage records', () => {
  test('have the tag of the format', () => {
    expect(keccak(utf8('flowmeter.usage-record.v1'))).toBe(vectors.tags.record)
  })

  test.each(vectors.records)('$source/$requestId: salt and leaf', (vector) => {
    const key = { source: vector.source, requestId: vector.requestId }
    const salt = receiptSalt(vectors.receiptSecret, key)
    expect(salt).toBe(vector.salt)
    expect(recordLeaf(recordOf(vector), modelId(vector.modelId), salt)).toBe(vector.leaf)
  })

  test('their root does not depend on the order in which they come', () => {
    const leaves = vectors.records.map(({ leaf }) => hash(leaf))
    expect(recordsRoot(leaves)).toBe(vectors.recordsRoot)
    expect(recordsRoot([...leaves].reverse())).toBe(vectors.recordsRoot)
  })

  test('no new record is zero bytes, one is its own leaf', () => {
    expect(recordsRoot([])).toBe(ZERO_HASH)
    const [first] = vectors.records.map(({ leaf }) => hash(leaf))
    expect(recordsRoot(first === undefined ? [] : [first])).toBe(first)
  })

  test('another secret, source or request gives another salt', () => {
    const key = { source: 'main', requestId: 'chatcmpl-1' }
    const salts = [
      receiptSalt(vectors.receiptSecret, key),
      receiptSalt('another secret', key),
      receiptSalt(vectors.receiptSecret, { ...key, source: 'mai' }),
      receiptSalt(vectors.receiptSecret, { source: 'mai', requestId: 'nchatcmpl-1' }),
    ]
    expect(new Set(salts).size).toBe(4)
  })
})

describe('entries', () => {
  test.each(vectors.entries)('$accountNumber/$periodStart: bytes and leaf', (vector) => {
    expect(entryBytes(entryOf(vector))).toBe(vector.bytes)
    expect(entryLeaf(entryOf(vector))).toBe(vector.leaf)
    expect(entryBytes(entryOf(vector)).length).toBe(2 + 2 * (45 + 30 * vector.rows.length))
  })

  test('are kept in the order of the vectors', () => {
    const entries = vectors.entries.map(entryOf)
    expect([...entries].reverse().sort(compareEntries)).toEqual(entries)
  })

  const [vector] = vectors.entries
  const entry = entryOf(vector as EntryVector)
  const row = entry.rows[0] as Entry['rows'][number]

  test('take 1 to 32 rows with ascending distinct models', () => {
    const rows = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...row, modelId: modelId(i) }))
    expect(entryBytes({ ...entry, rows: rows(ROWS_MAX) }).length).toBe(2 + 2 * (45 + 30 * 32))
    expect(() => entryBytes({ ...entry, rows: rows(33) })).toThrow('an entry of 33 rows')
    expect(() => entryBytes({ ...entry, rows: [] })).toThrow('an entry of 0 rows')
    expect(() => entryBytes({ ...entry, rows: [row, row] })).toThrow('ascend')
    expect(() => entryBytes({ ...entry, rows: rows(2).reverse() })).toThrow('ascend')
  })

  test.each([
    ['cached tokens above the prompt', { promptTokens: 1n, cachedPromptTokens: 2n }],
    ['a counter above u64', { promptTokens: 2n ** 64n }],
    ['a counter below zero', { completionTokens: -1n }],
    ['requests above u32', { requests: 2n ** 32n }],
  ])('are never cut to fit: %s', (_, change) => {
    expect(() => entryBytes({ ...entry, rows: [{ ...row, ...change }] })).toThrow()
  })

  test('a period start beyond u32 is refused', () => {
    expect(() => entryBytes({ ...entry, periodStart: 2 ** 32 })).toThrow('does not fit')
  })
})

describe('batches', () => {
  const leaves = vectors.entries.map(({ leaf }) => hash(leaf))

  test.each(vectors.batches)('chunks of $chunkSize: hashes, paths and root', (vector) => {
    const chunks = chunksOf(leaves, vector.chunkSize).map(chunkHash)
    expect(chunks).toEqual(vector.chunks.map((chunk) => chunk.hash))
    expect(merkleRoot(chunks)).toBe(vector.root)
    for (const [index, chunk] of vector.chunks.entries()) {
      expect(merklePath(chunks, index)).toEqual(chunk.path)
      expect(rootFromPath(hash(chunk.hash), chunk.path.map(hash))).toBe(vector.root)
    }
  })

  test('chunks are cut in order, the last may be shorter, none is empty', () => {
    expect(chunksOf(leaves, 3).map((chunk) => chunk.length)).toEqual([3, 3, 1])
    expect(chunksOf(leaves, 3).flat()).toEqual(leaves)
    expect(chunksOf([], 3)).toEqual([])
    expect(() => chunkHash([])).toThrow('a chunk of 0 leaves')
    expect(() => chunkHash(Array.from({ length: 129 }, () => ZERO_HASH))).toThrow('129')
  })

  test('the target binds network and contract', () => {
    expect(targetOf('emulator', '0xf8d6e0586b0a20c7')).toBe(vectors.header.target)
    expect(targetOf('emulator', 'F8D6E0586B0A20C7')).toBe(vectors.header.target)
    expect(keccak(utf8(vectors.targetPreimage))).toBe(vectors.header.target)
    expect(targetOf('mainnet', 'f8d6e0586b0a20c7')).not.toBe(vectors.header.target)
    expect(() => targetOf('emulator', '0xf8d6')).toThrow('not a Flow address')
  })
})

describe('trees', () => {
  const nodes = (count: number) => Array.from({ length: count }, (_, i) => keccak(utf8(`${i}`)))

  test('every node of every tree up to 33 has a path to the root', () => {
    for (let count = 1; count <= 33; count += 1) {
      const tree = nodes(count)
      const root = merkleRoot(tree)
      for (const [index, node] of tree.entries()) {
        expect(rootFromPath(node, merklePath(tree, index))).toBe(root)
      }
    }
  })

  test('a path proves no other node, and there is no node out of range', () => {
    const tree = nodes(5)
    const [first, second] = tree
    expect(rootFromPath(second ?? ZERO_HASH, merklePath(tree, 0))).not.toBe(merkleRoot(tree))
    expect(rootFromPath(first ?? ZERO_HASH, merklePath(tree, 0))).toBe(merkleRoot(tree))
    expect(() => merklePath(tree, 5)).toThrow('no node 5 of 5')
    expect(() => merkleRoot([])).toThrow('at least one node')
  })
})

function recordOf(vector: (typeof vectors.records)[number]) {
  return {
    key: { source: vector.source, requestId: vector.requestId },
    startedAtMs: Number(vector.startedAtMs),
    model: vector.model,
    promptTokens: BigInt(vector.promptTokens),
    cachedPromptTokens: BigInt(vector.cachedPromptTokens),
    completionTokens: BigInt(vector.completionTokens),
  }
}

function entryOf({ accountNumber: account, periodStart, recordsRoot: root, rows }: EntryVector) {
  return {
    accountNumber: accountNumber(BigInt(account)),
    periodStart: Number(periodStart),
    recordsRoot: hash(root),
    rows: rows.map(rowOf),
  }
}
