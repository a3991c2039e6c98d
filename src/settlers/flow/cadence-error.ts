const REASON_MAX = 500

/** "[Error Code: 1101] error caused by: ..." */
export function errorCode(message: string): number | undefined {
  const code = /\[Error Code: (\d+)\]/.exec(message)?.[1]
  return code === undefined ? undefined : Number(code)
}

/** Cadence's own sentence, without the stack of code around it; else the beginning of all. */
export function reasonOf(message: string): string {
  const sentence = /^\s*error: (.+)$/m.exec(message)?.[1] ?? message
  return sentence.slice(0, REASON_MAX)
}
