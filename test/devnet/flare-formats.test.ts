import { dataLength, dataSlice, hashMessage, keccak256, SigningKey, toBeHex } from 'ethers'
import { describe, expect, test } from 'vitest'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  messageIntegrityCode,
} from '../../devnet/flare/evm-transaction.js'
import {
  boundHash,
  messageBytes,
  policyBytes,
  relayCalldata,
  signHash,
} from '../../devnet/flare/formats.js'
import { MerkleTree } from '../../devnet/flare/merkle.js'
import { votersOf } from '../../devnet/flare/voters.js'
import { formats, policyFields, policyVector, vectors } from '../contracts/relay-vectors.js'

// Goal: the local network says Flare's byte formats as Flare does.
// Method: reproduce the vectors, which Flare's own contracts took.

describe('signing policies', () => {
  test.each(vectors.policies.items)('$name', ({ bytes, bound }) => {
    expect(policyBytes(policyFields(bytes))).toBe(bytes)
    expect(boundHash(vectors.chainId, bytes)).toBe(bound)
  })
})

describe('the message of a round', () => {
  const { message, pre, digest, signatures } = vectors.message.bound
  const fields = {
    protocolId: 200,
    votingRoundId: 1_465_067,
    isSecureRandom: false,
    merkleRoot: dataSlice(message, 6),
  }
  const signed = signatures.map(({ index }) => ({
    ...signHash(new SigningKey(toBeHex(index + 1, 32)), pre),
    index,
  }))

  test('has the bytes and digests of the vectors', () => {
    expect(messageBytes(fields)).toBe(message)
    expect(boundHash(vectors.chainId, message)).toBe(pre)
    expect(hashMessage(Buffer.from(pre.slice(2), 'hex'))).toBe(digest)
  })

  test('is signed as in the vectors', () => {
    expect(signed).toEqual(signatures)
  })

  test('makes the calldata of the vectors', () => {
    const [item] = vectors.relay.accepted.filter(({ generation }) => generation === 'bound')
    expect(relayCalldata(policyVector('A').bytes, message, signed)).toBe(item?.calldata)
  })
})

describe('trees', () => {
  test.each(vectors.fdcVerification.trees)('of $leafCount leaves', ({ leaves, root, proofs }) => {
    const tree = new MerkleTree([...leaves].reverse())
    expect(tree.root).toBe(root)
    for (const { leaf, proof } of Object.values(proofs)) expect(tree.proof(leaf)).toEqual(proof)
  })

  test('ask for a leaf twice, and it is in once', () => {
    const [first = '', second = ''] = vectors.fdcVerification.trees[1]?.leaves ?? []
    expect(new MerkleTree([first, second, first]).root).toBe(new MerkleTree([first, second]).root)
  })

  test('have a leaf', () => {
    expect(() => new MerkleTree([])).toThrow('at least one leaf')
  })
})

describe('attestations', () => {
  const { fdc } = formats

  test.each([
    ['empty input', fdc.emptyInput, fdc.emptyInputLeaf, 1312],
    ['one zero byte as input', fdc.zeroByteInput, fdc.zeroByteInputLeaf, 1344],
  ])('with %s are encoded as in the vectors', (_name, hex, leaf, bytes) => {
    expect(dataLength(hex)).toBe(bytes)
    expect(encodeResponse(decodeResponse(hex))).toBe(hex)
    expect(keccak256(encodeResponse(decodeResponse(hex)))).toBe(leaf)
  })

  test('have the integrity code of the vectors, whatever their round', () => {
    const response = decodeResponse(fdc.zeroByteInput)
    expect(response.votingRound).toBe('1465067')
    expect(messageIntegrityCode(response)).toBe(fdc.messageIntegrityCodeZeroByte)
  })

  test('are requested in the bytes of the vectors', () => {
    const { request } = vectors.fdcHub
    expect(dataLength(request)).toBe(352)
    const decoded = decodeRequest(request)
    expect(decoded && encodeRequest(decoded)).toBe(request)
    expect(decoded?.requestBody).toEqual(decodeResponse(fdc.zeroByteInput).requestBody)
    expect(decoded?.messageIntegrityCode).toBe(fdc.messageIntegrityCodeZeroByte)
  })

  test.each([
    ['nothing', '0x'],
    ['a head alone', dataSlice(vectors.fdcHub.request, 0, 96)],
    ['a body cut short', dataSlice(vectors.fdcHub.request, 0, 351)],
    ['bytes after the body', `${vectors.fdcHub.request}00`],
    ['another type', `0x${'00'.repeat(32)}${vectors.fdcHub.request.slice(66)}`],
  ])('are not requested with %s', (_name, bytes) => {
    expect(decodeRequest(bytes)).toBeUndefined()
  })
})

describe('voters', () => {
  test('change from epoch to epoch, and any four pass the raised threshold', () => {
    const voters = votersOf(183_125)
    const weights = voters.map(({ weight }) => weight).sort((a, b) => b - a)
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(65_535)
    expect((weights[0] ?? 0) + (weights[1] ?? 0)).toBeLessThan(32_768)
    expect(65_535 - (weights[0] ?? 0)).toBeGreaterThan(Math.floor(32_768 * 1.2))
    expect(votersOf(183_126)).not.toEqual(voters)
  })
})
