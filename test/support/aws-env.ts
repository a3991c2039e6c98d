import { onTestFinished, vi } from 'vitest'
import type { LocalKms } from '../../devnet/aws-kms/index.js'
import type { Credentials } from '../../devnet/aws-kms/signature-v4.js'

/** What AWS's tools look at, so that nothing of this machine's own is found. */
export function awsEnv({ url, region, credentials }: LocalKms): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_KMS: url,
    AWS_REGION: region,
    ...credentialsEnv(credentials),
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  }
}

export function credentialsEnv(credentials: Credentials): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  }
}

/** For the running test. */
export function useAwsEnv(
  kms: LocalKms,
  changes: Readonly<Record<string, string | undefined>> = {},
): void {
  const env = { ...awsEnv(kms), ...changes }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
}
