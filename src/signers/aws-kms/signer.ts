import type { KMSClient, SignCommandOutput } from '@aws-sdk/client-kms'
import { ConfigError, RetryableError } from '../../domain/errors.js'
import type { Curve, KeySigner } from '../../ports/key-signer.js'
import { tellExchange } from '../../runtime/measures.js'
import { plainTextProblem } from '../../runtime/secure-url.js'
import { timeLimit } from '../../runtime/time-limit.js'
import { CURVE_NAMES, CURVES } from '../curves.js'
import { failureOf } from './failures.js'
import { curveOf, publicKeyOf, signatureOf } from './parse.js'

/** A signature takes some 50 ms within a region. */
const TIMEOUT_MS = 10_000
/** The one algorithm of both curves; the digest may be of any hash with 32 bytes. */
const ALGORITHM = 'ECDSA_SHA_256'
const UNCOMPRESSED = 4

interface Found {
  /** The key's own ARN: an alias that is moved to another key changes nothing before a restart. */
  readonly arn: string
  readonly curve: Curve
  readonly publicKey: Uint8Array
}

/**
 * A key in AWS KMS, which never leaves it. Who we are is found as all AWS tools find it: environment,
 * profile, role of the machine or pod.
 */
export class AwsKmsSigner implements KeySigner {
  readonly where: string
  readonly #keyId: string
  /** The setting and the key, for messages. */
  readonly #what: string
  readonly #timeoutMs: number
  #client: Promise<KMSClient> | undefined
  #found: Promise<Found> | undefined

  constructor(keyId: string, setting: string, timeoutMs = TIMEOUT_MS) {
    this.#keyId = keyId
    this.#timeoutMs = timeoutMs
    this.where = `AWS KMS, ${keyId}`
    this.#what = `${setting}, ${this.where}`
  }

  async publicKey(curve: Curve, signal?: AbortSignal): Promise<Uint8Array> {
    return (await this.#find(curve, signal)).publicKey
  }

  async sign(curve: Curve, digest: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const { arn, publicKey } = await this.#find(curve, signal)
    const { Signature: der = new Uint8Array() } = await this.#signing(arn, digest, signal)
    const signature = signatureOf(der, curve)
    const whole = Uint8Array.of(UNCOMPRESSED, ...publicKey)
    const isRight =
      signature !== undefined &&
      CURVES[curve].verify(signature, digest, whole, { prehash: false, lowS: true })
    if (isRight) return signature
    throw new RetryableError('key_nonsense', `${this.#what}: the signature is not of this key`)
  }

  async check(curve: Curve, signal?: AbortSignal): Promise<void> {
    const { arn } = await this.#find(curve, signal)
    const isDryRun = true
    await this.#signing(arn, new Uint8Array(32), signal, isDryRun)
  }

  async #find(curve: Curve, signal?: AbortSignal): Promise<Found> {
    this.#found ??= this.#ask(signal)
    const found = await this.#found.catch((error: unknown) => {
      this.#found = undefined
      throw error
    })
    if (found.curve === curve) return found
    const names = `of ${CURVE_NAMES[found.curve]}, and ${CURVE_NAMES[curve]} is needed`
    throw new ConfigError('key_unusable', `${this.#what}: the key is ${names}`)
  }

  async #ask(signal?: AbortSignal): Promise<Found> {
    const { GetPublicKeyCommand } = await import('@aws-sdk/client-kms')
    const answer = await this.#send(
      (client, abortSignal) =>
        client.send(new GetPublicKeyCommand({ KeyId: this.#keyId }), { abortSignal }),
      signal,
    )
    const { KeyId: arn, KeySpec, PublicKey: der } = answer
    const curve = curveOf(KeySpec)
    if (curve === undefined) {
      const fix = 'Make one of ECC_SECG_P256K1, or for Flow of ECC_NIST_P256.'
      throw new ConfigError(
        'key_unusable',
        `${this.#what}: a key of ${KeySpec} cannot be used. ${fix}`,
      )
    }
    const publicKey = publicKeyOf(der ?? new Uint8Array(), curve)
    if (publicKey !== undefined && arn !== undefined) return { arn, curve, publicKey }
    throw new RetryableError('key_nonsense', `${this.#what}: what was answered is no public key`)
  }

  async #signing(
    KeyId: string,
    Message: Uint8Array,
    signal: AbortSignal | undefined,
    DryRun = false,
  ): Promise<Partial<SignCommandOutput>> {
    const { SignCommand } = await import('@aws-sdk/client-kms')
    const order = { KeyId, Message, MessageType: 'DIGEST', SigningAlgorithm: ALGORITHM } as const
    const command = new SignCommand({ ...order, ...(DryRun ? { DryRun } : {}) })
    return this.#send(async (client, abortSignal) => {
      try {
        return await client.send(command, { abortSignal })
      } catch (error) {
        // A dry run that would have succeeded is told as this error.
        if (DryRun && error instanceof Error && error.name === 'DryRunOperationException') return {}
        throw error
      }
    }, signal)
  }

  async #send<Answer>(
    ask: (client: KMSClient, signal: AbortSignal) => Promise<Answer>,
    outer: AbortSignal | undefined,
  ): Promise<Answer> {
    this.#client ??= connect(this.#keyId)
    const limit = timeLimit(this.#timeoutMs, outer)
    const startedAtMs = performance.now()
    let outcome: 'answered' | 'refused' | 'failed' = 'failed'
    try {
      const answer = await ask(await this.#client, limit.signal)
      outcome = 'answered'
      return answer
    } catch (error) {
      outer?.throwIfAborted()
      if (isRefusal(error)) outcome = 'refused'
      throw failureOf(error, this.#what)
    } finally {
      limit.end()
      if (!outer?.aborted) {
        const ms = performance.now() - startedAtMs
        tellExchange({ dependency: 'signer', host: 'kms', outcome, ms })
      }
    }
  }
}

/** Loaded with the first use: most installations keep their keys in files. */
async function connect(keyId: string): Promise<KMSClient> {
  const { KMSClient } = await import('@aws-sdk/client-kms')
  const [, , , region] = keyId.startsWith('arn:') ? keyId.split(':') : []
  const client = new KMSClient({
    ...(region === undefined ? {} : { region }),
    // A worker that is told to try again does so, and tells it.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS },
  })
  client.middlewareStack.add(
    (next) => (args) => {
      refusePlainText(args.request as { protocol: string; hostname: string })
      return next(args)
    },
    { step: 'finalizeRequest', name: 'refusePlainText' },
  )
  return client
}

/** AWS_ENDPOINT_URL and the like are none of our settings, and follow the same rule. */
function refusePlainText({ protocol, hostname }: { protocol: string; hostname: string }): void {
  const problem = plainTextProblem(`${protocol}//${hostname}`, () => false)
  if (problem !== undefined) {
    throw new ConfigError('key_denied', 'AWS KMS is to be reached by http: take its endpoint out.')
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && '$fault' in error
}
