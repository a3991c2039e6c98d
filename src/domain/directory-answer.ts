import type { AccountNumber } from './ids.js'

/** What a rule, or a table or function of the operator, says of one payer. */
export type DirectoryAnswer =
  | { readonly account: AccountNumber }
  | {
      readonly account?: undefined
      readonly reason: string
      /** No later rule may answer instead: this one would, and only cannot at the moment. */
      readonly isFinal?: true
    }
