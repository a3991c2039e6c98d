/**
 * What a setting says in the place of a private key that is kept elsewhere: `aws-kms:` and the ARN,
 * the alias or the id of a key. It is no secret.
 */
const AWS_KMS = 'aws-kms:'
const KMS_KEY =
  /^(arn:aws[\w-]*:kms:[\w-]+:\d{12}:(key|alias)\/[\w/-]{1,256}|alias\/[\w/-]{1,256}|(mrk-)?[\da-f-]{32,36})$/

/** The key's name in AWS KMS; undefined where the text is none. */
export function awsKmsKey(text: string): string | undefined {
  const name = text.startsWith(AWS_KMS) ? text.slice(AWS_KMS.length) : ''
  return KMS_KEY.test(name) ? name : undefined
}
