/**
 * Whether two sources of Cadence do the same: they may differ in comments and spaces. What might be
 * code counts as code, so that a comment can hide none.
 */
export function isSameCode(one: string, other: string): boolean {
  return codeOf(one) === codeOf(other)
}

/** Strings, the ends of comments, spaces, and all else one by one. */
const TOKENS = /"(?:\\[\s\S]|[^"\\])*"?|\/\/[^\r\n]*|\/\*|\*\/|\s+|[\s\S]/g
/** Within a comment quotes mean nothing. */
const ENDS = /\/\*|\*\//g

function codeOf(source: string): string {
  const code: string[] = []
  TOKENS.lastIndex = 0
  for (let found = TOKENS.exec(source); found !== null; found = TOKENS.exec(source)) {
    const [token] = found
    if (token === '/*') {
      const end = endOfComment(source, TOKENS.lastIndex)
      // What is never closed is no comment to anybody.
      if (end === undefined) return source
      TOKENS.lastIndex = end
    }
    const isSpace = token === '/*' || token.startsWith('//') || /^\s/.test(token)
    if (!isSpace) code.push(token)
    else if (code.at(-1) !== ' ') code.push(' ')
  }
  return code.join('').trim()
}

/** Block comments nest in Cadence. */
function endOfComment(source: string, from: number): number | undefined {
  ENDS.lastIndex = from
  for (let depth = 1; depth > 0; ) {
    const found = ENDS.exec(source)
    if (found === null) return undefined
    depth += found[0] === '/*' ? 1 : -1
  }
  return ENDS.lastIndex
}
