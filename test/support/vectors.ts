import { readFileSync } from 'node:fs'

/** Worked values that every language of the project has to give. Integers are decimal text. */
export interface FormatVectors {
  readonly tags: { readonly record: string }
  readonly receiptSecret: string
  readonly records: readonly RecordVector[]
  readonly recordsRoot: string
  readonly entries: readonly EntryVector[]
  readonly batches: readonly BatchVector[]
  readonly targetPreimage: string
  readonly header: Readonly<Record<'root' | 'target', string>>
}

export interface RecordVector {
  readonly source: string
  readonly requestId: string
  readonly startedAtMs: string
  readonly modelId: number
  readonly model: string
  readonly promptTokens: string
  readonly cachedPromptTokens: string
  readonly completionTokens: string
  readonly salt: string
  readonly leaf: string
}

export interface RowVector {
  readonly modelId: number
  readonly promptTokens: string
  readonly cachedPromptTokens: string
  readonly completionTokens: string
  readonly requests: string
}

export interface EntryVector {
  readonly accountNumber: string
  readonly periodStart: string
  readonly recordsRoot: string
  readonly rows: readonly RowVector[]
  readonly bytes: string
  readonly leaf: string
}

export interface BatchVector {
  readonly chunkSize: number
  readonly root: string
  readonly chunks: readonly { readonly hash: string; readonly path: readonly string[] }[]
}

export interface PriceVectors {
  readonly plan: {
    readonly currency: string
    readonly tiers: readonly {
      readonly upTo: string | null
      readonly pricePerMillion: string
      readonly discountBps: number
    }[]
    readonly minimum: string
    readonly fee: string
    readonly rates: Readonly<
      Record<string, Record<'prompt' | 'cachedPrompt' | 'completion' | 'request', number>>
    >
  }
  readonly cases: readonly {
    readonly mode: 'graduated' | 'volume'
    readonly rows: readonly RowVector[]
    readonly billableTenThousandths: string
    readonly priceWad: string
  }[]
}

export const formatVectors: FormatVectors = read('formats.json')
export const priceVectors: PriceVectors = read('prices.json')

function read<Vectors>(name: string): Vectors {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'))
}
