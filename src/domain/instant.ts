/** ISO 8601, UTC, from milliseconds since 1970: how every answer of ours names a time. */
export function iso(ms: number): string {
  return new Date(ms).toISOString()
}
