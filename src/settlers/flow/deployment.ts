import { z } from 'zod'
import { isHex } from '../../domain/bytes.js'
import type { DeploymentTerms } from '../../ports/deployer.js'

/** A deployment's terms as people write them: all that they trust is in one file to be read. */

export type DeploymentFile =
  | { readonly ok: true; readonly terms: DeploymentTerms }
  | { readonly ok: false; readonly problems: readonly string[] }

/** FDC's name of each Flare network, by chain id. */
const SOURCE_IDS: Readonly<Record<number, string>> = {
  14: 'FLR',
  16: 'testSGB',
  19: 'SGB',
  114: 'testFLR',
}
const DAY_S = 86_400
const U32_MAX = 2 ** 32 - 1
/** A policy takes 43 bytes and 22 for each of its voters. */
const POLICY_BYTES_MIN = 43 + 22

const hex = (bytes: { readonly min: number; readonly max: number }, what: string) =>
  z
    .string()
    .transform((text) => `0x${text.trim().toLowerCase().replace(/^0x/, '')}` as const)
    .refine((text) => isHex(text) && text.length >= 2 + 2 * bytes.min, { error: what })
    .refine((text) => text.length <= 2 + 2 * bytes.max, { error: what })

const round = z.int().min(0).max(U32_MAX)

const deploymentFile = z
  .strictObject({
    format: z.literal('flowmeter.deployment.v1'),
    flareChainId: z
      .int()
      .refine((id) => id in SOURCE_IDS, { error: 'use 114 (Coston2), 14 (Flare), 19 or 16' }),
    anchor: hex({ min: 20, max: 20 }, 'the address of UsageAnchor has 40 hex digits'),
    checkpoint: hex(
      { min: POLICY_BYTES_MIN, max: 64_000 },
      'expected the bytes of a signing policy in hex',
    ),
    firstEpochStartRound: round,
    roundsPerEpoch: round.min(1),
    epochsKept: z.int().min(2, 'the last policy alone cannot serve its late rounds').max(U32_MAX),
    checkpointDelaySeconds: z
      .int()
      .min(0)
      .default(7 * DAY_S),
    meterDelaySeconds: z.int().min(0).default(DAY_S),
    boundMessageFromRound: round.optional(),
    boundPolicyFromEpoch: round.optional(),
  })
  .transform((file): DeploymentTerms => {
    const { format: _, checkpointDelaySeconds, meterDelaySeconds, ...same } = file
    return {
      ...same,
      sourceId: SOURCE_IDS[file.flareChainId] ?? '',
      checkpointDelayS: checkpointDelaySeconds,
      meterDelayS: meterDelaySeconds,
      boundMessageFromRound: file.boundMessageFromRound,
      boundPolicyFromEpoch: file.boundPolicyFromEpoch,
    }
  })

export function parseDeploymentFile(json: unknown): DeploymentFile {
  const parsed = deploymentFile.safeParse(json)
  if (parsed.success) return { ok: true, terms: parsed.data }
  const problems = parsed.error.issues.map(({ path, message }) => {
    const place = path.map(String).join('.')
    return place === '' ? message : `${place}: ${message}`
  })
  return { ok: false, problems }
}
