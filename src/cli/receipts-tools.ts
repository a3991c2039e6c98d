import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { loadConfig } from '../config.js'
import { ConfigError } from '../domain/errors.js'
import { accountNumber } from '../domain/ids.js'
import type { Receipts } from '../domain/receipts.js'
import { makeReceipts, statedPeriods } from '../pipeline/receipts.js'
import type { ReceiptsTools } from './parts.js'
import { parseReceipts } from './receipts-file.js'
import { withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

/** The store makes receipts; checking them needs nothing but the file. */
export function receiptsTools(env: Environment, folder: string): ReceiptsTools {
  return {
    async make(account, periodStart) {
      const { databaseUrl, receiptSecret, settler } = loadConfig(env, folder)
      return withStore(databaseUrl, async (store) => {
        const periods = await statedPeriods(store, account)
        const [only] = periodStart === undefined ? periods : [periodStart]
        const isClear = periodStart !== undefined || periods.length === 1
        if (!isClear || only === undefined || !periods.includes(only)) return { periods }
        const key = { accountNumber: accountNumber(account), periodStart: only }
        const signing = { provider: settler.providerId, receiptSecret }
        return { periods, receipts: await makeReceipts(key, signing, store) }
      })
    },
    read: (path) => readReceipts(resolve(folder, path)),
  }
}

async function readReceipts(path: string): Promise<Receipts> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read'
    throw new ConfigError('receipts_file', `${path} ${why}`)
  }
  return parseReceipts(json)
}
