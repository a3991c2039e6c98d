import { describe, expect, test } from 'vitest'
import {
  learnCredentials,
  learnSecret,
  redact,
  redactor,
  withoutCredentials,
} from '../../src/runtime/redaction.js'

describe('secrets', () => {
  const secret = 'quote"and\\slash-canary'
  const privateKey = `0x${'c0ffee'.repeat(10)}abcd`

  test('are cut out wherever they stand', () => {
    const redact = redactor([secret, privateKey])
    const texts = [
      secret,
      `before ${secret} after ${secret}`,
      JSON.stringify({ deep: { key: secret } }),
      `url?key=${privateKey}&more`,
      privateKey.slice(2),
    ]
    for (const text of texts) {
      const cleaned = redact(text)
      expect(cleaned).toContain('[redacted]')
      expect(cleaned).not.toContain('canary')
      expect(cleaned).not.toContain('c0ffee')
    }
  })

  test('that are too short to be one leave words alone', () => {
    expect(redactor(['', 'a', 'public'])('a public word')).toBe('a public word')
  })
})

describe('URLs', () => {
  const token = 'tokencanary-tokencanary-9'

  test.each([
    ['https://user:pw-canary@host/path', 'pw-canary'],
    ['https://user:pw-canary@host/path', Buffer.from('user:pw-canary').toString('base64')],
    ['https://user:pw%2Dc%40nary@host/path', 'pw-c@nary'],
    ['https://only-canary@host', 'only-canary'],
    ['https://rpc.example.org/ext/C/rpc?x-apikey=key-canary', 'key-canary'],
    ['https://rpc.example.org/?sig=a%2Bcanary%3D', 'a+canary='],
    [`https://rpc.example.org/v2/${token}`, token],
    [`https://a.example.org, https://b.example.org/${token}/rpc`, token],
    ['postgres://role:pg-canary@db/litellm?sslmode=verify-full', 'pg-canary'],
  ])('%s: the key in it is a secret', (url, key) => {
    learnCredentials(url)
    expect(redact(`error: ${key} is refused`)).toBe('error: [redacted] is refused')
  })

  test('what is no key in them stays', () => {
    learnCredentials('https://customer@rpc.example.org/ext/bc/C/rpc?network=coston2&page=1')
    learnCredentials('postgres://flowmeter:pg-canary@db/litellm?sslmode=verify-full')
    const text = 'rpc.example.org and flowmeter on coston2: sslmode=verify-full in /ext/bc/C/rpc'
    expect(redact(text)).toBe(text)
  })

  test('a secret that is a URL is one as a whole and in parts', () => {
    learnSecret(`https://hooks.example.org/services/T01/${token}0`)
    expect(redact(`POST /services/T01/${token}0`)).toBe('POST /services/T01/[redacted]')
    expect(redact(`https://hooks.example.org/services/T01/${token}0`)).toBe('[redacted]')
  })

  test('are shown without user, query and long parts of the path', () => {
    const url = `https://user:canary@rpc.example.com/v1/${token}?x-apikey=canary&a=b`
    expect(withoutCredentials(url)).toBe('https://…@rpc.example.com/v1/…?x-apikey=…&a=…')
  })
})
