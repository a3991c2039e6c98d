import { findEmulator } from '../../devnet/flow/binary.js'

/**
 * Before any test: without a Flow emulator, and without Go to build one, the run ends here with one
 * sentence that says what to install. Nothing is skipped in silence.
 */
export async function setup(): Promise<void> {
  try {
    await findEmulator({ log: (line) => void process.stdout.write(`${line}\n`) })
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1) // A stack would hide the sentence.
  }
}
