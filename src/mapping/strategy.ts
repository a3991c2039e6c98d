import type { DirectoryAnswer } from '../domain/directory-answer.js'
import type { AccountNumber } from '../domain/ids.js'

/** What strategies may look at besides the payer: data, so that they stay pure. */
export interface MappingData {
  /** The operator's table: payer to account number. */
  readonly directory: ReadonlyMap<string, AccountNumber>
  /** What the directories with a worker of their own said last: by their name, then by payer. */
  readonly answers?: ReadonlyMap<string, DirectoryAnswers>
  /** Of a payer: another known one that has the same account, where that must not be. */
  readonly rivals?: ReadonlyMap<string, string>
}

export interface DirectoryAnswers {
  /** False until it was read for the first time. */
  readonly isRead: boolean
  readonly byPayer: ReadonlyMap<string, DirectoryAnswer>
}

/** A rule from payer to account number. */
export interface MappingStrategy {
  readonly name: string
  /** The account number, or why this rule has none. */
  readonly map: (payer: string, data: MappingData) => MappingAnswer
}

export type MappingAnswer = DirectoryAnswer

/** One kind of strategy: what `kinds.ts` has a line for. `Config` is what its zod object gives. */
export interface StrategyKind<Config> {
  create(config: Config): MappingStrategy
}
