/** Releases on PyPI that carried foreign code (March 2026). */
const MALICIOUS = ['1.82.7', '1.82.8']
/** The first release that writes its queued rows before it stops (measured: 4 of 4). */
const FLUSHES_SINCE = [1, 104]

/** What an operator should mend, a sentence each. */
export function warningsOf(version: string | undefined, pageSize: number): string[] {
  const warnings: string[] = []
  if (version !== undefined && MALICIOUS.includes(version)) {
    warnings.push(`LiteLLM ${version} was published with malicious code: replace it and all keys`)
  }
  if (version !== undefined && isBefore(version, FLUSHES_SINCE)) {
    warnings.push(
      `LiteLLM ${version} loses the rows of its last seconds when it stops: let it drain for 15 s ` +
        'before a restart, or upgrade to 1.104',
    )
  }
  if (pageSize <= 100) {
    warnings.push(`LiteLLM gives ${pageSize} rows at once: catching up is slow; 1.96 gives 1000`)
  }
  return warnings
}

/** False for what does not begin like a version: nothing is said of what is not known. */
function isBefore(version: string, [major = 0, minor = 0]: readonly number[]): boolean {
  const [, ownMajor, ownMinor] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  if (ownMajor === undefined || ownMinor === undefined) return false
  return Number(ownMajor) < major || (Number(ownMajor) === major && Number(ownMinor) < minor)
}
