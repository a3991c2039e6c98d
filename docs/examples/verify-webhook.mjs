import { createHmac, timingSafeEqual } from 'node:crypto'

const TOLERANCE_S = 300

/**
 * Whether a message comes from whoever has the secret, and just now.
 *
 * @param {string} secret as in the settings: whsec_ and base64
 * @param {Record<string, string | string[] | undefined>} headers of the request, names in lower case
 * @param {string} body as it arrived, before anything parsed it
 */
export function verify(secret, headers, body, nowMs = Date.now()) {
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  if (typeof id !== 'string' || !/^\d{1,12}$/.test(`${timestamp}`)) return false
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > TOLERANCE_S) return false
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
  // There may be several, while a secret is replaced.
  return `${headers['webhook-signature']}`.split(' ').some((one) => {
    const [version, signature = ''] = one.split(',')
    const shown = Buffer.from(signature, 'base64')
    return version === 'v1' && shown.length === expected.length && timingSafeEqual(shown, expected)
  })
}
