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
  const token = bearerOf(authorization) ?? ''
  return holders.filter((holder) => isSameToken(token, holder.token))[0]
}

export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}

/** Digests have the same length whatever was sent: the time it takes says nothing. */
export function isSameToken(shown: string, kept: string): boolean {
  return timingSafeEqual(digest(shown), digest(kept))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
