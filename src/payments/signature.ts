import { createHmac, timingSafeEqual } from 'node:crypto'

/** Whether a signature in hex is the HMAC of a body, in a time that tells nothing about it. */
export function isHmacOf(
  body: string | Buffer,
  { algorithm, secret, hex }: { algorithm: 'sha256' | 'sha512'; secret: string; hex: string },
): boolean {
  const expected = createHmac(algorithm, secret).update(body).digest()
  if (!/^[0-9a-f]+$/i.test(hex)) return false
  const given = Buffer.from(hex, 'hex')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
