import { createHash, createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { refusalOf, type SignedRequest } from '../../devnet/aws-kms/signature-v4.js'

// Goal: the stand-in lets nothing pass that AWS would not. Method: sign a request as AWS's
// documentation describes it, then change one thing after the other.

const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}
const AT = '20260102T030405Z'
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)
const hash = (text: string) => createHash('sha256').update(text).digest('hex')

function signed(changes: { names?: string; region?: string; secret?: string } = {}): SignedRequest {
  const { names = 'host;x-amz-date;x-amz-target', region = 'eu-central-1' } = changes
  const headers: Record<string, string> = {
    host: 'kms.eu-central-1.amazonaws.com',
    'x-amz-date': AT,
    'x-amz-target': 'TrentService.Sign',
  }
  const body = '{"KeyId":"alias/meter"}'
  const lines = names.split(';').map((name) => `${name}:${headers[name]}`)
  const canonical = ['POST', '/', '', ...lines, '', names, hash(body)].join('\n')
  const scope = `20260102/${region}/kms/aws4_request`
  const text = ['AWS4-HMAC-SHA256', AT, scope, hash(canonical)].join('\n')
  let key: string | Buffer = `AWS4${changes.secret ?? credentials.secretAccessKey}`
  for (const part of ['20260102', region, 'kms', 'aws4_request']) {
    key = createHmac('sha256', key).update(part).digest()
  }
  const signature = createHmac('sha256', key).update(text).digest('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}, SignedHeaders=${names}, Signature=${signature}`
  return {
    method: 'POST',
    target: '/',
    headers: { ...headers, authorization },
    body: Buffer.from(body),
  }
}

test('a request that is signed right passes', () => {
  expect(refusalOf(signed(), credentials, NOW_MS)).toBeUndefined()
})

describe('what is changed afterwards is refused', () => {
  const right = signed()
  const withHeader = (name: string, value: string) => ({
    ...right,
    headers: { ...right.headers, [name]: value },
  })

  test.each([
    ['body', { ...right, body: Buffer.from('{"KeyId":"alias/other"}') }],
    ['path', { ...right, target: '/other' }],
    ['query', { ...right, target: '/?a=b' }],
    ['method', { ...right, method: 'GET' }],
    ['action', withHeader('x-amz-target', 'TrentService.Decrypt')],
    ['host', withHeader('host', 'kms.example.org')],
    ['time', withHeader('x-amz-date', '20260102T030406Z')],
    ['secret', signed({ secret: 'another' })],
    ['action that is not signed', signed({ names: 'host;x-amz-date' })],
    ['token that nobody gave', withHeader('x-amz-security-token', 'x')],
    [
      'account',
      withHeader('authorization', (right.headers.authorization ?? '').replace('AKID', 'AKIX')),
    ],
    ['form', withHeader('authorization', 'Bearer x')],
  ])('%s', (_what, request) => {
    expect(refusalOf(request, credentials, NOW_MS)?.code).toMatch(/Exception$/)
  })

  test('time: an old request, and one of the future', () => {
    for (const minutes of [-6, 6]) {
      const nowMs = NOW_MS + minutes * 60_000
      expect(refusalOf(right, credentials, nowMs)?.code).toBe('InvalidSignatureException')
    }
  })

  test('session: a token that was given has to come along, signed', () => {
    const session = { ...credentials, sessionToken: 'x' }
    expect(refusalOf(right, session, NOW_MS)?.code).toBe('UnrecognizedClientException')
    const unsigned = withHeader('x-amz-security-token', 'x')
    expect(refusalOf(unsigned, session, NOW_MS)?.code).toBe('InvalidSignatureException')
  })
})
