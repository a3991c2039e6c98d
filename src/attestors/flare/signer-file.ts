import { readFile, rm } from 'node:fs/promises'
import { z } from 'zod'
import { type Hash, hash } from '../../domain/bytes.js'
import { ConfigError } from '../../domain/errors.js'
import { writeDurably } from '../../runtime/durable-file.js'

/** `signer` names key, chain and anchor: with another one of them a digest means another thing. */
const signerMemory = z.strictObject({
  signer: z.string(),
  seq: z
    .string()
    .regex(/^\d{1,20}$/)
    .transform((text) => BigInt(text)),
  digest: z
    .string()
    .regex(/^0x[0-9a-f]{64}$/)
    .transform((text): Hash => hash(text)),
})

export type SignerMemory = z.infer<typeof signerMemory>

/**
 * What was signed last; undefined before the first signature.
 *
 * @throws ConfigError `meter_signer_file` when the file is there and cannot be trusted
 */
export async function readSignerFile(path: string): Promise<SignerMemory | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw unusable(path, error instanceof Error ? error.message : String(error))
  }
  try {
    return signerMemory.parse(JSON.parse(text))
  } catch {
    throw unusable(path, 'it is not what this program wrote')
  }
}

/** On the disk, name included, when this returns: a power cut later does not take it back. */
export async function writeSignerFile(path: string, memory: SignerMemory): Promise<void> {
  const { signer, seq, digest } = memory
  try {
    await writeDurably(path, `${JSON.stringify({ signer, seq: String(seq), digest })}\n`)
  } catch (error) {
    throw unusable(path, error instanceof Error ? error.message : String(error))
  }
}

/** As if nothing was ever signed. */
export async function forgetSignerFile(path: string): Promise<void> {
  await rm(path, { force: true })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function unusable(path: string, why: string): ConfigError {
  const fix =
    'It keeps the meter from signing two headers with one number: restore it, set ' +
    'METER_SIGNER_FILE, or run "flowmeter adopt" once you know that no other instance signs.'
  return new ConfigError('meter_signer_file', `the signer file ${path}: ${why}. ${fix}`)
}
