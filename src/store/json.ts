/** JSON that keeps integers exact and maps whole. For columns that SQL does not look into. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') return { $bigint: part.toString() }
    if (part instanceof Map) return { $map: [...part] }
    return part
  })
}

/** Reads only what `encode` wrote into this store: the caller names the type it wrote. */
export function decode<Value>(text: string): Value {
  if (!text.includes('"$')) return JSON.parse(text) // Nothing in it has to be looked at twice.
  return JSON.parse(text, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null) return part
    if ('$bigint' in part) return BigInt(String(part.$bigint))
    if ('$map' in part && Array.isArray(part.$map)) return new Map(part.$map)
    return part
  })
}
