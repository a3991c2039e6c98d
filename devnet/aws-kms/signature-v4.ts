import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** AWS's "Signature Version 4" for one request, checked as the service does it. */

export interface SignedRequest {
  readonly method: string
  /** As on the wire: path and query. */
  readonly target: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials: it has to come along, and to be signed. */
  readonly sessionToken?: string
}

const SERVICE = 'kms'
const SKEW_MS_MAX = 5 * 60_000
/** A signature that leaves one of these out can be moved to another request. */
const SIGNED_ALWAYS = ['host', 'x-amz-date', 'x-amz-target']

/** What is wrong with the signature, by the code that AWS gives it; undefined: it is right. */
export function refusalOf(
  request: SignedRequest,
  credentials: Credentials,
  nowMs: number,
): { readonly code: string; readonly says: string } | undefined {
  const { headers } = request
  const { authorization } = headers
  if (authorization === undefined) return refusal('MissingAuthenticationTokenException', 'none')
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([\w-]+)\/(\w+)\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    )
  if (parts === null) return refusal('IncompleteSignatureException', 'not of its form')
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', claimed = ''] = parts
  if (accessKeyId !== credentials.accessKeyId) {
    return refusal(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  }
  if (headers['x-amz-security-token'] !== credentials.sessionToken) {
    return refusal(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    )
  }
  const at = headers['x-amz-date'] ?? ''
  if (service !== SERVICE || !at.startsWith(day)) {
    return refusal(
      'InvalidSignatureException',
      'Credential should be scoped to a valid day and service.',
    )
  }
  if (!(Math.abs(instantOf(at) - nowMs) <= SKEW_MS_MAX)) {
    return refusal('InvalidSignatureException', `Signature expired: ${at}`)
  }
  const signed = names.split(';')
  const needed = [
    ...SIGNED_ALWAYS,
    ...(credentials.sessionToken === undefined ? [] : ['x-amz-security-token']),
  ]
  if (!needed.every((name) => signed.includes(name))) {
    return refusal('InvalidSignatureException', 'A header that matters is not signed.')
  }
  const scope = `${day}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical(request, signed))].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Buffer | string>(
    (last, part) => createHmac('sha256', last).update(part).digest(),
    `AWS4${credentials.secretAccessKey}`,
  )
  const right = createHmac('sha256', key).update(text).digest()
  if (timingSafeEqual(right, Buffer.from(claimed, 'hex'))) return undefined
  return refusal('InvalidSignatureException', 'The request signature we calculated does not match.')
}

function canonical(
  { method, target, headers, body }: SignedRequest,
  signed: readonly string[],
): string {
  const [path = '/', query = ''] = target.split('?')
  const lines = signed.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}`)
  const sorted = query.split('&').sort().join('&')
  return [method, path, sorted, ...lines, '', signed.join(';'), sha256(body)].join('\n')
}

/** `20260102T030405Z` */
function instantOf(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function refusal(code: string, says: string) {
  return { code, says }
}
