import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  anchorEvent,
  attestedIn,
  integrityCode,
  requestBytes,
  responseBytes,
} from '../../src/attestors/flare/request.js'
import { FlareTree } from '../../src/attestors/flare/tree.js'
import type { BatchHeader } from '../../src/domain/batch.js'
import { type Hash, type Hex, hash, keccak } from '../../src/domain/bytes.js'
import { batchSeq } from '../../src/domain/ids.js'
import { rootFromPath } from '../../src/domain/merkle.js'

const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
const formats = read('../vectors/formats.json')
const relay = read('../vectors/relay.json')
const publicRound = read('../fixtures/flare/round-792357.json')

const LOG_INDEX = 3
const lower = (text: string) => text.toLowerCase() as Hex
const anchorAddress = lower(formats.signature.domain.verifyingContract)
const meter = lower(formats.signature.meter)
const header: BatchHeader = {
  seq: batchSeq(BigInt(formats.header.seq)),
  root: hash(formats.header.root),
  prevRoot: hash(formats.header.prevRoot),
  sealedAt: Number(formats.header.sealedAt),
  target: hash(formats.header.target),
  manifest: hash(formats.header.manifest),
}
const logIndex = Number(BigInt(`0x${formats.fdc.zeroByteInput.slice(2 + 2 * 416, 2 + 2 * 448)}`))
const event = anchorEvent(anchorAddress, meter, header, logIndex)

test('the event of a header is the one that the contract emits', () => {
  expect(event.topics).toEqual(formats.anchorEvent.topics)
  expect(event.data).toBe(formats.anchorEvent.data)
})

describe('an attestation of that event', () => {
  const forms = [
    ['empty', formats.fdc.emptyInput, formats.fdc.emptyInputLeaf],
    ['zero_byte', formats.fdc.zeroByteInput, formats.fdc.zeroByteInputLeaf],
  ] as const

  test.each(forms)('with input %s is read, and built again', (input, response: Hex, leaf: Hash) => {
    const attested = attestedIn(response, event, 'testFLR')
    expect(attested).toMatchObject({ round: 1_465_067, input, logIndex, isDeployment: false })
    if (attested === undefined) throw new Error('not read')
    expect(responseBytes(attested, event, 'testFLR')).toBe(response)
    expect(keccak(response)).toBe(leaf)
  })

  test('is asked for with the bytes that FdcHub took', () => {
    const attested = attestedIn(formats.fdc.zeroByteInput, event, 'testFLR')
    if (attested === undefined) throw new Error('not read')
    const code = formats.fdc.messageIntegrityCodeZeroByte
    expect(integrityCode(attested, event, 'testFLR')).toBe(code)
    const request = requestBytes(attested, event, 'testFLR')
    expect(request).toBe(relay.fdcHub.request)
    expect(request).toHaveLength(2 + 2 * 352)
    expect(requestBytes({ ...attested, round: 0 }, event, 'testFLR')).toBe(request)
  })

  // Goal: no word of it is taken on trust. Method: flip each bit of each byte's lowest place.
  test.each(forms)('with input %s: one changed byte anywhere is seen', (_, response: Hex) => {
    const original = attestedIn(response, event, 'testFLR')
    for (let at = 0; at < (response.length - 2) / 2; at += 1) {
      const digits = response.slice(2 + 2 * at, 4 + 2 * at)
      const changed = (Number.parseInt(digits, 16) ^ 1).toString(16).padStart(2, '0')
      const forged =
        `0x${response.slice(2, 2 + 2 * at)}${changed}${response.slice(4 + 2 * at)}` as Hex
      const attested = attestedIn(forged, event, 'testFLR')
      // The words that differ from anchor to anchor may be others; then they are read as such.
      if (attested !== undefined) expect(attested).not.toEqual(original)
    }
  })

  test('is not taken for another event, source or length', () => {
    const response: Hex = formats.fdc.zeroByteInput
    const others = [
      anchorEvent(anchorAddress, meter, { ...header, manifest: header.root }, logIndex),
      anchorEvent(anchorAddress, anchorAddress, header, logIndex),
      anchorEvent(meter, meter, header, logIndex),
      anchorEvent(anchorAddress, meter, header, logIndex + LOG_INDEX),
    ]
    for (const other of others) expect(attestedIn(response, other, 'testFLR')).toBeUndefined()
    expect(attestedIn(response, event, 'FLR')).toBeUndefined()
    expect(attestedIn(`${response}${'00'.repeat(32)}`, event, 'testFLR')).toBeUndefined()
    expect(attestedIn(publicRound.response, event, 'testETH')).toBeUndefined()
  })
})

describe('the tree of a round', () => {
  test('as Flare published it: a leaf of October 2024 folds to its root', () => {
    expect(keccak(publicRound.response as Hex)).toBe(publicRound.leaf)
    expect(rootFromPath(publicRound.leaf, publicRound.proof)).toBe(publicRound.root)
  })

  interface Tree {
    leafCount: number
    leaves: Hash[]
    root: Hash
    proofs: Record<string, { leaf: Hash; proof: Hash[] }>
  }
  test.each(relay.fdcVerification.trees as Tree[])('of $leafCount leaves', (tree) => {
    const shuffled = [...tree.leaves, ...tree.leaves].reverse() // Doubles do not count.
    const ours = new FlareTree(shuffled)
    expect(ours.root).toBe(tree.root)
    for (const { leaf, proof } of Object.values(tree.proofs)) {
      expect(ours.path(leaf)).toEqual(proof)
      expect(rootFromPath(leaf, proof)).toBe(tree.root)
    }
    expect(ours.path(header.root)).toBeUndefined()
  })
})
