import { randomBytes } from 'node:crypto'
import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { computeAddress, recoverAddress } from 'ethers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LocalKms, startLocalKms } from '../../devnet/aws-kms/index.js'
import { EvmKey } from '../../src/attestors/flare/evm-key.js'
import { type Hash, toHex } from '../../src/domain/bytes.js'
import { ConfigError, RetryableError } from '../../src/domain/errors.js'
import { listenToMeasures } from '../../src/runtime/measures.js'
import { AwsKmsSigner } from '../../src/signers/aws-kms/signer.js'
import { openSigner } from '../../src/signers/index.js'
import { useAwsEnv } from '../support/aws-env.js'
import { PATIENTLY } from '../support/patience.js'

// Goal: keys in AWS KMS sign for the chains as local ones do, and what KMS says no to is told in a
// way that can be acted on. Method: the real client of AWS against a stand-in that checks what AWS
// checks of a request, answers in AWS's forms, and fails as AWS does.

const CURVES = {
  p256: { spec: 'ECC_NIST_P256', curve: p256 },
  secp256k1: { spec: 'ECC_SECG_P256K1', curve: secp256k1 },
} as const
const SETTING = 'METER_KEY'
const digest = () => randomBytes(32)

let kms: LocalKms
beforeEach(async () => {
  kms = await startLocalKms()
})
afterEach(() => kms.stop())

function codeOf(error: unknown): string {
  const isExpected = error instanceof ConfigError || error instanceof RetryableError
  if (!isExpected) throw error
  return `${error.name} ${error.code}`
}

describe.each(['p256', 'secp256k1'] as const)('a key of %s', (name) => {
  const { spec, curve } = CURVES[name]

  test('signs digests, with s in the lower half whatever KMS gave', async () => {
    useAwsEnv(kms)
    const { arn, secret } = kms.makeKey(spec)
    const signer = openSigner(`aws-kms:${arn}`, SETTING)
    const publicKey = await signer.publicKey(name)
    expect(toHex(publicKey)).toBe(toHex(curve.getPublicKey(secret, false).subarray(1)))
    const seen = new Set<string>()
    for (let i = 0; i < 8; i += 1) {
      const bytes = digest()
      for (let again = 0; again < 2; again += 1) {
        const signature = await signer.sign(name, bytes)
        const options = { prehash: false, lowS: true }
        expect(signature).toHaveLength(64)
        expect(curve.verify(signature, bytes, Uint8Array.of(4, ...publicKey), options)).toBe(true)
        seen.add(toHex(signature))
      }
    }
    expect(seen.size).toBe(16)
    // The public key is asked for once.
    expect(kms.calls.map(({ action }) => action)).toEqual([
      'GetPublicKey',
      ...Array(16).fill('Sign'),
    ])
  })

  test('is none of the other curve', async () => {
    useAwsEnv(kms)
    const { arn } = kms.makeKey(spec)
    const other = name === 'p256' ? 'secp256k1' : 'p256'
    const signer = openSigner(`aws-kms:${arn}`, SETTING)
    expect(await signer.sign(other, digest()).catch(codeOf)).toBe('ConfigError key_unusable')
    await expect(signer.publicKey(other)).rejects.toThrow(SETTING)
  })
})

test('a key of the EVM has its address, and says which of two signatures it gave', async () => {
  useAwsEnv(kms)
  const { secret } = kms.makeKey('ECC_SECG_P256K1', 'alias/meter')
  const key = await EvmKey.open('aws-kms:alias/meter', SETTING)
  expect(key.address).toBe(computeAddress(toHex(secret)).toLowerCase())
  expect(key.where).toBe('AWS KMS, alias/meter')
  const parities = new Set<number>()
  for (let i = 0; i < 24; i += 1) {
    const hash = toHex(digest()) as Hash
    const signature = await key.sign(hash)
    expect(recoverAddress(hash, signature.serialized).toLowerCase()).toBe(key.address)
    parities.add(signature.yParity)
  }
  expect([...parities].sort()).toEqual([0, 1])
})

test('an alias that is moved means the same key until a restart', async () => {
  useAwsEnv(kms)
  kms.makeKey('ECC_SECG_P256K1', 'alias/meter')
  const key = await EvmKey.open('aws-kms:alias/meter', SETTING)
  kms.moveAlias('alias/meter', kms.makeKey('ECC_SECG_P256K1'))
  await key.sign(toHex(digest()) as Hash)
  const restarted = await EvmKey.open('aws-kms:alias/meter', SETTING)
  expect(restarted.address).not.toBe(key.address)
})

test('the region of an ARN goes before the one of the environment', async () => {
  useAwsEnv(kms, { AWS_REGION: 'us-west-2' })
  const { arn, keyId } = kms.makeKey('ECC_NIST_P256')
  await openSigner(`aws-kms:${arn}`, SETTING).publicKey('p256')
  const named = openSigner(`aws-kms:${keyId}`, SETTING).publicKey('p256')
  expect(await named.catch(codeOf)).toBe('ConfigError key_denied')
  expect(kms.calls.map(({ region }) => region)).toEqual([kms.region, 'us-west-2'])
})

test('temporary credentials, as roles give them', async () => {
  const credentials = {
    ...{ accessKeyId: 'ASIALOCALKMS', secretAccessKey: 'another-secret' },
    sessionToken: 'token+of/a==session',
  }
  const strict = await startLocalKms(credentials)
  try {
    useAwsEnv(strict)
    strict.makeKey('ECC_NIST_P256', 'alias/flow')
    const signer = openSigner('aws-kms:alias/flow', SETTING)
    expect(await signer.sign('p256', digest())).toHaveLength(64)
  } finally {
    await strict.stop()
  }
})

describe('a no that somebody has to mend names the setting and the fix', () => {
  test.each([
    ['GetPublicKey', 'may not be looked at'],
    ['Sign', 'may not be signed with'],
  ])('%s: %s', async (action) => {
    useAwsEnv(kms)
    const key = kms.makeKey('ECC_NIST_P256', 'alias/flow')
    kms.deny(key, action)
    const signer = openSigner('aws-kms:alias/flow', SETTING)
    for (const attempt of [() => signer.sign('p256', digest()), () => signer.check('p256')]) {
      expect(await attempt().catch(codeOf)).toBe('ConfigError key_denied')
    }
    const said = signer.check('p256')
    await expect(said).rejects.toThrow(/METER_KEY, AWS KMS, alias\/flow: AccessDeniedException/)
    await expect(said).rejects.toThrow(/kms:GetPublicKey and kms:Sign/)
  })

  test.each([
    ['Disabled', 'Enable the key'],
    ['PendingDeletion', 'Cancel its deletion'],
  ] as const)('a key that is %s', async (state, fix) => {
    useAwsEnv(kms)
    const key = kms.makeKey('ECC_NIST_P256', 'alias/flow')
    const signer = openSigner('aws-kms:alias/flow', SETTING)
    await signer.sign('p256', digest())
    kms.setState(key, state)
    expect(await signer.sign('p256', digest()).catch(codeOf)).toBe('ConfigError key_denied')
    await expect(signer.sign('p256', digest())).rejects.toThrow(fix)
    kms.setState(key, 'Enabled')
    expect(await signer.sign('p256', digest())).toHaveLength(64)
  })

  test.each([
    ['another account', { AWS_ACCESS_KEY_ID: 'AKIASOMEBODYELSE' }, 'credentials'],
    ['a wrong secret', { AWS_SECRET_ACCESS_KEY: 'canary-wrong-secret' }, 'credentials'],
    ['no credentials', { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }, 'AWS_PROFILE'],
    ['no region', { AWS_REGION: undefined }, 'AWS_REGION'],
    ['an empty region', { AWS_REGION: '' }, 'AWS_REGION'],
    ['a far host without TLS', { AWS_ENDPOINT_URL_KMS: 'http://kms.example.org' }, 'http'],
  ])('%s', async (_what, changes, fix) => {
    kms.makeKey('ECC_NIST_P256', 'alias/flow')
    useAwsEnv(kms, changes)
    const tried = openSigner('aws-kms:alias/flow', SETTING).publicKey('p256')
    expect(await tried.catch(codeOf)).toBe('ConfigError key_denied')
    await expect(tried).rejects.toThrow(fix)
    await expect(tried).rejects.not.toThrow('canary')
  })

  test('a clock that is far off', async () => {
    const late = await startLocalKms(undefined, () => Date.now() + 3_600_000)
    try {
      useAwsEnv(late)
      late.makeKey('ECC_NIST_P256', 'alias/flow')
      const tried = openSigner('aws-kms:alias/flow', SETTING).publicKey('p256')
      await expect(tried).rejects.toThrow('its clock')
    } finally {
      await late.stop()
    }
  })

  test('no such key, a key that cannot sign, a key that is no KMS key at all', async () => {
    useAwsEnv(kms)
    kms.makeKey('SYMMETRIC_DEFAULT', 'alias/symmetric')
    for (const alias of ['alias/none', 'alias/symmetric']) {
      const tried = openSigner(`aws-kms:${alias}`, SETTING).publicKey('p256')
      expect(await tried.catch(codeOf)).toBe('ConfigError key_denied')
    }
  })
})

describe('what may pass is tried again by whoever asked', () => {
  test.each([
    [{ code: 'ThrottlingException', says: 'Rate exceeded' }, 'key_throttled'],
    [{ code: 'LimitExceededException' }, 'key_throttled'],
    [{ code: 'KMSInternalException' }, 'key_unreachable'],
    [{ code: 'DependencyTimeoutException' }, 'key_unreachable'],
    [{ code: 'KeyUnavailableException' }, 'key_unreachable'],
    [{ code: 'KMSInvalidStateException', says: 'arn is creating.' }, 'key_unreachable'],
    ['other-key', 'key_nonsense'],
  ] as const)('%j', async (fault, code) => {
    useAwsEnv(kms)
    kms.makeKey('ECC_SECG_P256K1', 'alias/meter')
    const signer = openSigner('aws-kms:alias/meter', SETTING)
    await signer.publicKey('secp256k1')
    kms.failNext(fault)
    expect(await signer.sign('secp256k1', digest()).catch(codeOf)).toBe(`RetryableError ${code}`)
    // One request each time: whoever asks waits, not the client.
    expect(kms.calls).toHaveLength(2)
    expect(await signer.sign('secp256k1', digest())).toHaveLength(64)
  })

  test('silence ends at the limit, and with the signal', async () => {
    useAwsEnv(kms)
    kms.makeKey('ECC_NIST_P256', 'alias/flow')
    kms.failNext('silence')
    const hasty = new AwsKmsSigner('alias/flow', SETTING, 1_000)
    expect(await hasty.publicKey('p256').catch(codeOf)).toBe('RetryableError key_unreachable')
    kms.failNext('silence')
    const stop = new AbortController()
    const patient = openSigner('aws-kms:alias/flow', SETTING)
    const tried = patient.publicKey('p256', stop.signal)
    await vi.waitFor(() => expect(kms.calls).toHaveLength(2), PATIENTLY)
    stop.abort(new Error('stopping'))
    await expect(tried).rejects.toThrow('stopping')
    expect(await patient.publicKey('p256')).toHaveLength(64)
  })

  test('nobody there', async () => {
    const { url } = kms
    useAwsEnv(kms)
    await kms.stop()
    kms = await startLocalKms()
    expect(kms.url).not.toBe(url)
    const tried = openSigner('aws-kms:alias/flow', SETTING).publicKey('p256')
    expect(await tried.catch(codeOf)).toBe('RetryableError key_unreachable')
  })
})

test('looking whether it may sign signs nothing', async () => {
  useAwsEnv(kms)
  kms.makeKey('ECC_NIST_P256', 'alias/flow')
  await openSigner('aws-kms:alias/flow', SETTING).check('p256')
  expect(kms.calls.map(({ action }) => action)).toEqual(['GetPublicKey', 'Sign'])
})

test('its response times are measured like those of the chains', async () => {
  useAwsEnv(kms)
  const seen: string[] = []
  const stop = listenToMeasures({
    onExchange: ({ dependency, outcome }) => seen.push(`${dependency} ${outcome}`),
    onStage: () => {},
  })
  kms.makeKey('ECC_NIST_P256', 'alias/flow')
  const signer = openSigner('aws-kms:alias/flow', SETTING)
  kms.failNext({ code: 'ThrottlingException' })
  await signer.publicKey('p256').catch(codeOf)
  await signer.publicKey('p256')
  stop()
  expect(seen).toEqual(['signer refused', 'signer answered'])
})
