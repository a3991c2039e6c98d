/**
 * A transaction whose `prepare` is done `count` times, a parameter that it gets at the end: so that
 * thousands of vaults are opened in few transactions, by the very text that opens one.
 */
export function repeated(cadence: string): string {
  const prepare = /prepare\([\s\S]*?&Account\s*\)\s*\{/.exec(cadence)
  if (prepare === null) throw new Error('the transaction has no prepare')
  const start = prepare.index + prepare[0].length
  const end = closingBrace(cadence, start)
  const body = cadence.slice(start, end)
  const loop = `\nvar done = 0\nwhile done < count {\ndone = done + 1\n${body}}\n`
  const whole = cadence.slice(0, start) + loop + cadence.slice(end)
  return whole.replace(/transaction\(([^)]*?),?\s*\)/, 'transaction($1, count: Int)')
}

function closingBrace(text: string, start: number): number {
  let depth = 1
  for (let i = start; i < text.length; i += 1) {
    if (text[i] === '{') depth += 1
    if (text[i] === '}') depth -= 1
    if (depth === 0) return i
  }
  throw new Error('a brace is never closed')
}
