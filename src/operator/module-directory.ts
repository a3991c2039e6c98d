import { resolve } from 'node:path'
import type { DirectoryAnswer } from '../domain/directory-answer.js'
import type { ModuleDirectoryConfig } from '../mapping/config.js'
import type { PayerDirectory } from '../ports/payer-directory.js'
import { OperatorFunction } from '../runtime/operator-function.js'
import { ThreadError } from '../runtime/thread.js'
import { accountFrom } from './parse.js'

/**
 * A JavaScript function of the operator: `accountOf(payer)` returns an account number, or nothing
 * where it knows none, or a promise of either. Failing for a payer stops the chain for that payer:
 * no other rule may answer for a function that only is broken.
 */
export function moduleDirectory(
  { name, path, refreshMs, timeoutMs }: ModuleDirectoryConfig,
  folder: string,
): PayerDirectory & { close(): Promise<void> } {
  const file = resolve(folder, path)
  const accountOf = new OperatorFunction({ file, exportName: 'accountOf', timeoutMs })
  return {
    name,
    kind: 'payers',
    refreshMs,
    async read(payers, signal) {
      const answers = new Map<string, DirectoryAnswer>()
      for (const payer of payers) {
        answers.set(payer, await ask(accountOf, payer, signal))
      }
      return answers
    },
    close: () => accountOf.close(),
  }
}

async function ask(
  accountOf: OperatorFunction,
  payer: string,
  signal: AbortSignal,
): Promise<DirectoryAnswer> {
  try {
    const value = await accountOf.call(payer, signal)
    if (value === undefined || value === null) return { reason: 'knows no account of it' }
    return accountFrom(value)
  } catch (error) {
    if (!(error instanceof ThreadError)) throw error
    return { reason: `failed: ${error.message}`, isFinal: true }
  }
}
