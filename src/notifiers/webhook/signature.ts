import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'
/** 24 to 64 bytes, as the Standard Webhooks specification has it. */
const KEY_BYTES_MIN = 24
const KEY_BYTES_MAX = 64

/** The bytes of a secret such as `whsec_MfKQ9r8…`; undefined for what is none. */
export function signingKey(secret: string): Buffer | undefined {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : undefined
  if (text === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX ? key : undefined
}

/** The headers of Standard Webhooks 1.0 over id, instant of sending (seconds) and body. */
export function signatureHeaders(
  key: Buffer,
  { id, atS, body }: { readonly id: string; readonly atS: number; readonly body: string },
): Record<string, string> {
  const signature = createHmac('sha256', key).update(`${id}.${atS}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': `${atS}`,
    'webhook-signature': `v1,${signature}`,
  }
}
