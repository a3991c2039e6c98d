import { constants } from 'node:fs'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { type Hash, hash } from '../../domain/bytes.js'
import { ConfigError } from '../../domain/errors.js'

const OWNER_ONLY = 0o600

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
  const folder = dirname(path)
  const fresh = `${path}.tmp`
  const { signer, seq, digest } = memory
  try {
    await mkdir(folder, { recursive: true })
    await synced(fresh, `${JSON.stringify({ signer, seq: String(seq), digest })}\n`)
    await rename(fresh, path)
    const handle = await open(folder, constants.O_RDONLY)
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    throw unusable(path, error instanceof Error ? error.message : String(error))
  }
}

async function synced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w', OWNER_ONLY)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
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
