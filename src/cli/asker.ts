import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { Asker } from './init.js'

/** A person at this process's terminal; undefined where there is none. Questions go to stderr. */
export function terminalAsker(): Asker | undefined {
  const { stdin, stderr } = process
  if (!stdin.isTTY || !stderr.isTTY) return undefined
  let isHidden = false
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!isHidden) stderr.write(chunk)
      done()
    },
  })
  const terminal = createInterface({ input: stdin, output, terminal: true })
  return {
    ask: (question) => terminal.question(question),
    async askSecret(question) {
      stderr.write(question)
      isHidden = true
      try {
        return await terminal.question('')
      } finally {
        isHidden = false
        stderr.write('\n')
      }
    },
    close: () => terminal.close(),
  }
}
