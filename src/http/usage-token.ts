import { createHash, timingSafeEqual } from 'node:crypto'

interface TokenHolder {
  readonly token: string
}

/**
 * Who shows this `Authorization` header; undefined for nobody. Digests are compared, of the same
 * length whatever was sent, and all of them: the time it takes says nothing of any token.
 */
export function holderOf<Holder extends TokenHolder>(
  authorization: string | undefined,
  holders: readonly Holder[],
): Holder | undefined {
  const [, token = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
  const shown = digest(token)
  return holders.filter((holder) => timingSafeEqual(digest(holder.token), shown))[0]
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
