import type { BatchId } from '../domain/ids.js'
import type { SetAside, SetAsideReason } from '../domain/set-aside.js'

/** Which rows a command is about; what is absent leaves it open. */
export interface SetAsideChoice {
  readonly source?: string
  readonly requestId?: string
  readonly reason?: SetAsideReason
  /** The beginning of the row's hash, where one id has several. */
  readonly rowHash?: string
}

export type Verdict =
  | { readonly outcome: 'counts' }
  | { readonly outcome: 'dismissed' }
  /**
   * Somebody decided on it before, or another row, of this hash, has taken the first one's place:
   * nothing was changed.
   */
  | { readonly outcome: 'decided'; readonly replacedBy?: string }
  /** The row that it should replace is in a batch: nothing was changed. */
  | { readonly outcome: 'sealed'; readonly batch: BatchId }

/** Rows that wait for an operator's word. The word is kept for ever, one for each row. */
export interface SetAsides {
  /** Without a word yet, newest first. */
  waiting(choice: SetAsideChoice, limit: number): Promise<readonly SetAside[]>
  /** Of those without a word. */
  counts(): Promise<
    readonly {
      readonly source: string
      readonly reason: SetAsideReason
      readonly rows: number
    }[]
  >
  /**
   * Lets a row count, once; attribution and sealing take it like any other. A changed row becomes a
   * record of its own beside the one that was read first, or with `isInstead` in its place,
   * which only one row of an id can take.
   */
  letCount(row: SetAside, isInstead: boolean): Promise<Verdict>
  /** Leaves a row uncounted for good. False when somebody decided on it before. */
  dismiss(row: SetAside): Promise<boolean>
}
