/** A part of a whole in percent with two places, rounded down: `12.34`. Undefined of nothing. */
export function percent(part: bigint, whole: bigint): string | undefined {
  if (whole === 0n) return undefined
  const sign = part < 0n !== whole < 0n && part !== 0n ? '-' : ''
  const hundredths = (abs(part) * 10_000n) / abs(whole)
  return `${sign}${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, '0')}`
}

/** By how much the second is above the first, in percent of the first. */
export function change(before: bigint, after: bigint): string | undefined {
  return percent(after - before, before)
}

/**
 * Cuts an amount into shares by weight; they add up to it exactly. What rounding leaves goes to the
 * first of the largest remainders. All zero weights: the first share takes all.
 */
export function allot(amount: bigint, weights: readonly bigint[]): bigint[] {
  const whole = weights.reduce((sum, weight) => sum + weight, 0n)
  if (whole === 0n) return weights.map((_, i) => (i === 0 ? amount : 0n))
  const shares = weights.map((weight) => (amount * weight) / whole)
  const left = Number(amount - shares.reduce((sum, share) => sum + share, 0n))
  const byRemainder = weights
    .map((weight, i) => ({ i, remainder: (amount * weight) % whole }))
    .sort((a, b) => (a.remainder === b.remainder ? a.i - b.i : a.remainder < b.remainder ? 1 : -1))
  for (const { i } of byRemainder.slice(0, left)) shares[i] = (shares[i] ?? 0n) + 1n
  return shares
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value
}
