import type { DirectoryAnswer } from '../domain/directory-answer.js'
import type { AccountNumber } from '../domain/ids.js'
import type { PayerField, RecordKey } from '../domain/usage-record.js'

/** A directory with a worker of its own, as it was read last. */
export interface DirectoryState {
  readonly name: string
  /** Changes when an answer does. */
  readonly version: string
  /** Absent until it was read once. */
  readonly readAtMs: number | undefined
  readonly entries: number
  /** Why the newest try failed; absent after a success. */
  readonly problem: string | undefined
}

/** What such directories answered last. Attribution looks here, and never waits for them. */
export interface Directories {
  /** Of all those named together: changes when an answer of one of them does. */
  version(names: readonly string[]): Promise<string>
  /** Those that were read at least once. */
  isRead(name: string): Promise<boolean>
  states(): Promise<readonly DirectoryState[]>
  find(name: string, payers: readonly string[]): Promise<ReadonlyMap<string, DirectoryAnswer>>
  /** In one transaction. @param isWhole what is not among the answers is forgotten */
  save(
    name: string,
    answers: ReadonlyMap<string, DirectoryAnswer>,
    isWhole: boolean,
  ): Promise<'changed' | 'same'>
  saveProblem(name: string, problem: string): Promise<void>
}

/** One payer's usage that waits, by source and model: what `map --all` and `unmapped` look at. */
export interface WaitingUsage {
  readonly source: string
  readonly payer: string
  readonly model: string
  /** Why it has no vault as of the newest attribution; absent where it has one, or was not looked at. */
  readonly reason: string | undefined
  readonly oldestAtMs: number
  readonly newestAtMs: number
  readonly records: number
  readonly tokens: bigint
}

/** Which waiting records a command is about. */
export interface WaitingChoice {
  readonly source: string
  readonly field: PayerField
  readonly payer: string
}

/** The payers of records that are in no batch, and what operators decided about some of them. */
export interface Payers {
  /** Distinct; billable usage only. */
  waiting(source: string, field: PayerField): Promise<readonly string[]>
  waitingUsage(source: string, field: PayerField): Promise<readonly WaitingUsage[]>
  /** Lets records that wait now, and no later ones, go to an account. Returns how many. */
  release(choice: WaitingChoice, account: AccountNumber): Promise<number>
  /** Has waiting records looked at again. Returns how many. */
  lookAgain(choice: WaitingChoice): Promise<number>
  /** The accounts of released records, by `nameOfRecord`. */
  released(keys: readonly RecordKey[]): Promise<ReadonlyMap<string, AccountNumber>>
  /** Remembers whose account each known payer's is, before any refusal. */
  saveClaims(claims: ReadonlyMap<string, AccountNumber>): Promise<void>
  /** Of payers: another known one, or one of the operator's table, with the same account. */
  rivals(claims: ReadonlyMap<string, AccountNumber>): Promise<ReadonlyMap<string, string>>
  /** Changes when an account gets or loses a second known payer. */
  rivalsVersion(): Promise<string>
}

/** A key for maps. */
export function nameOfRecord({ source, requestId }: RecordKey): string {
  return `${source}\n${requestId}`
}
