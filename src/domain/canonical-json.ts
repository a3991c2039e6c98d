/** What a manifest may hold: integers are written as text, so that no reader rounds one. */
export type CanonicalValue =
  | string
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue }

/**
 * RFC 8785 for values without numbers: keys sorted by UTF-16 code units, no white space, strings as
 * JSON.stringify writes them (which is what the RFC asks for).
 */
export function canonicalJson(value: CanonicalValue): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return JSON.stringify(value)
  }
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`)
  return `{${members.join(',')}}`
}

// Array.isArray does not narrow a readonly array out of a union.
function isList(value: object): value is readonly CanonicalValue[] {
  return Array.isArray(value)
}
