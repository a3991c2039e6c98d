import { ConfigError, RetryableError } from '../../domain/errors.js'

/** What KMS means that only an operator can mend: what to do about it. */
const FIXES: Readonly<Record<string, string>> = {
  AccessDeniedException:
    'Let the daemon’s AWS identity do kms:GetPublicKey and kms:Sign with this key.',
  NotFoundException: 'Name a key or alias of this account and region, or its whole ARN.',
  InvalidArnException: 'Name a key or alias of this account and region, or its whole ARN.',
  DisabledException: 'Enable the key.',
  KMSInvalidStateException: 'Cancel its deletion, or finish its import; then start again.',
  InvalidKeyUsageException: 'Use an asymmetric key whose usage is SIGN_VERIFY.',
  UnsupportedOperationException: 'Use an asymmetric key whose usage is SIGN_VERIFY.',
  UnrecognizedClientException: 'Check the AWS credentials of this process.',
  InvalidSignatureException: 'Check the AWS credentials of this process, and its clock.',
  IncompleteSignatureException: 'Check the AWS credentials of this process.',
  ExpiredTokenException: 'The AWS credentials have expired: use a role that renews them.',
  CredentialsProviderError:
    'Give this process AWS credentials: a role of the machine or pod, AWS_PROFILE, or AWS_ACCESS_KEY_ID.',
}
/** A key that is being made or copied to another region will be there soon. */
const PASSING_STATE = /creating|updating/i
const THROTTLED = /throttl|limitexceeded|toomanyrequests/i
const SAID_CHARACTERS_MAX = 300

/** What a failed call to KMS means for whoever asked. A bug comes back as it is. */
export function failureOf(error: unknown, what: string): Error {
  if (!(error instanceof Error)) return new Error(`${what}: ${String(error)}`)
  if (error instanceof ConfigError || error instanceof RetryableError) return error
  const { name } = error
  if (['TypeError', 'RangeError', 'ReferenceError'].includes(name)) return error
  const said = error.message.slice(0, SAID_CHARACTERS_MAX)
  if (/region (is missing|not accepted)/i.test(said)) {
    const fix = 'Set AWS_REGION, or name the key by its whole ARN.'
    return new ConfigError('key_denied', `${what}: the AWS region is not known. ${fix}`)
  }
  if (THROTTLED.test(name)) return new RetryableError('key_throttled', `${what}: ${name}`)
  const fix = FIXES[name]
  const isPassing = name === 'KMSInvalidStateException' && PASSING_STATE.test(said)
  if (fix === undefined || isPassing) {
    return new RetryableError('key_unreachable', `${what}: ${name}`)
  }
  return new ConfigError('key_denied', `${what}: ${name}: ${said} ${fix}`)
}
