import type { AccountNumber, ModelId } from '../domain/ids.js'
import type { PayerField, RecordKey } from '../domain/usage-record.js'
import type { Usage } from '../domain/usage-total.js'

/** What batches claimed of one payer on one UTC day, as it was attributed when it was sealed. */
export interface SealedUsage extends Usage {
  readonly source: string
  readonly payer: string
  /** An instant of that day, ms. */
  readonly atMs: number
  readonly account: AccountNumber
  readonly periodStart: number
  readonly modelId: ModelId
}

/** Looks at what is stored, for commands that change nothing. */
export interface SealedUsages {
  ofSource(source: string, field: PayerField): Promise<readonly SealedUsage[]>
  /** Which of these records the store has. */
  known(keys: readonly RecordKey[]): Promise<ReadonlySet<string>>
}
