import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { headerDigest, type MeterKeyConfig } from '../../src/attestors/flare/meter-key.js'
import type { BatchHeader } from '../../src/domain/batch.js'
import { type Hex, hash } from '../../src/domain/bytes.js'
import { ConfigError } from '../../src/domain/errors.js'
import { batchSeq } from '../../src/domain/ids.js'
import { meterKeyOf } from '../support/test-keys.js'

const file = new URL('../vectors/formats.json', import.meta.url)
const { header: raw, signature: vector } = JSON.parse(readFileSync(file, 'utf8'))
const header: BatchHeader = {
  seq: batchSeq(BigInt(raw.seq)),
  root: hash(raw.root),
  prevRoot: hash(raw.prevRoot),
  sealedAt: Number(raw.sealedAt),
  target: hash(raw.target),
  manifest: hash(raw.manifest),
}

let folder: string
let config: MeterKeyConfig

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowmeter-meter-'))
  config = {
    chainId: 114,
    anchorAddress: vector.domain.verifyingContract.toLowerCase() as Hex,
    meterKey: vector.privateKey,
    signerFile: join(folder, 'kept', 'meter-signer.json'),
  }
})
afterEach(() => rmSync(folder, { recursive: true }))

function codeOf(error: unknown): string {
  if (!(error instanceof ConfigError)) throw error
  expect(error.message).not.toContain(vector.privateKey.slice(2))
  return error.code
}

test('digest, address and signature are those of the vectors', async () => {
  const key = meterKeyOf(config)
  expect(key.address).toBe(vector.meter.toLowerCase())
  expect(headerDigest(config, header)).toBe(vector.digest)
  expect(await key.sign(header)).toBe(vector.signature)
})

describe('the signer file', () => {
  test('lets the same header be signed again, after a restart too', async () => {
    await meterKeyOf(config).sign(header)
    expect(await meterKeyOf(config).sign(header)).toBe(vector.signature)
    // Only the memory is there, no half-written one, and no key.
    expect(readdirSync(join(folder, 'kept'))).toEqual(['meter-signer.json'])
    const kept = JSON.parse(readFileSync(config.signerFile, 'utf8'))
    expect(kept).toEqual({
      signer: `${vector.meter.toLowerCase()}@114/${config.anchorAddress}`,
      seq: '7',
      digest: vector.digest,
    })
  })

  test('refuses a second header of a seq, and one of a lower seq', async () => {
    await meterKeyOf(config).sign(header)
    const restarted = meterKeyOf(config)
    const second = { ...header, sealedAt: header.sealedAt + 1 }
    expect(await restarted.sign(second).catch(codeOf)).toBe('meter_second_digest')
    const lower = { ...header, seq: batchSeq(6n) }
    expect(await restarted.sign(lower).catch(codeOf)).toBe('meter_second_digest')
    expect(await restarted.sign({ ...second, seq: batchSeq(8n) })).toHaveLength(132)
    expect(await restarted.sign(header).catch(codeOf)).toBe('meter_second_digest')
  })

  test('holds between calls at the same time', async () => {
    const key = meterKeyOf(config)
    const headers = [0, 1, 2, 3].map((late) => ({ ...header, sealedAt: header.sealedAt + late }))
    const answers = await Promise.allSettled(headers.map((other) => key.sign(other)))
    expect(answers.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ])
  })

  test('is on the disk before the signature is returned', async () => {
    await meterKeyOf(config).sign(header)
    // Where it cannot be written, there is no signature.
    const blocked = { ...config, signerFile: join(config.signerFile, 'below-a-file.json') }
    expect(await meterKeyOf(blocked).sign(header).catch(codeOf)).toBe('meter_signer_file')
  })

  test('of another key, chain or anchor is not taken for ours', async () => {
    await meterKeyOf(config).sign(header)
    const others: Partial<MeterKeyConfig>[] = [
      { meterKey: `0x${'22'.repeat(32)}` },
      { chainId: 14 },
      { anchorAddress: `0x${'11'.repeat(20)}` },
    ]
    for (const other of others) {
      const key = meterKeyOf({ ...config, ...other })
      expect(await key.sign(header).catch(codeOf)).toBe('meter_signer_file')
    }
  })

  test('forgets all that was signed only by force', async () => {
    const key = meterKeyOf(config)
    await key.sign(header)
    expect(codeOf(await key.adopt(undefined, false).catch((error: unknown) => error))).toBe(
      'meter_second_digest',
    )
    await key.adopt(undefined, true)
    expect(readdirSync(join(folder, 'kept'))).toEqual([])
    await key.adopt(undefined, false) // Nothing is signed.
    expect(await key.sign(header)).toBe(vector.signature)
  })

  test('that is damaged stops the meter', async () => {
    await meterKeyOf(config).sign(header)
    for (const text of ['', '{"seq":"7"}', '{"signer":"x","seq":7,"digest":"0x"}']) {
      writeFileSync(config.signerFile, text)
      const key = meterKeyOf(config)
      expect(await key.sign({ ...header, seq: batchSeq(8n) }).catch(codeOf)).toBe(
        'meter_signer_file',
      )
    }
  })
})
