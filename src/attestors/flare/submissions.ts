import { setImmediate } from 'node:timers/promises'
import type { Hash, Hex } from '../../domain/bytes.js'
import type { PolicySignature, PolicySigners } from '../../domain/proof.js'
import type { FlareChain } from './chain.js'
import { type ContractBook, roundStartsAt } from './contracts.js'
import { fewestOf, submittedVote, validSignatures } from './signing-policy.js'

/** The 90 s of a round on Flare are some 60 blocks; a relay that came late is followed so far. */
const BLOCKS_MAX = 240
/** Some 13 seconds of one core, in slices. A block of Flare has room for 700 such transactions. */
const VOTES_MAX = 4_000
/** Of transactions' input, as text. Only what is looked at is in memory, a block at a time. */
const INPUT_CHARACTERS_MAX = 256 * 1024 * 1024
/** Signatures checked before others get their turn: some 25 ms. */
const SLICE = 8

/** What is searched for. */
export interface SubmittedSearch {
  readonly round: number
  readonly policy: PolicySigners
  /** Of the message that every voter signed. */
  readonly digest: Hash
  /** The block in which the round's root was relayed. */
  readonly relayedIn: number
}

/**
 * Reads the signatures that providers submit for each other, one a transaction, in the input of
 * `Submission.submitSignatures()`. There is no event of them, so whole blocks are read. Anybody may
 * call it with anything: what is not a voter's signature of the digest counts for nothing.
 */
export class Submissions {
  readonly #book: ContractBook

  constructor(book: ContractBook) {
    this.#book = book
  }

  /**
   * Just enough signatures, from the round's end to a round later or to where it was relayed; undefined
   * where this node shows too few. Errors are those of `FlareChain`.
   */
  async find(
    chain: FlareChain,
    { round, policy, digest, relayedIn }: SubmittedSearch,
    signal: AbortSignal,
  ): Promise<PolicySignature[] | undefined> {
    const contracts = await this.#book.current(signal)
    const head = await chain.block('latest', signal)
    const endsAt = roundStartsAt(round + 1, contracts)
    const lateAt = roundStartsAt(round + 2, contracts)
    const from = await chain.blockBefore(endsAt, head, signal, 1)
    const last = Math.min(head.number, from + BLOCKS_MAX)
    const valid = new Map<number, PolicySignature>()
    let votesLeft = VOTES_MAX
    let charactersLeft = INPUT_CHARACTERS_MAX
    for (let number = from + 1; number <= last; number += 1) {
      const block = await chain.fullBlock(number, signal)
      if (block.timestamp > lateAt && number > relayedIn) break
      const inputs = inputsTo(contracts.submission, block.transactions)
      const votes = inputs.flatMap((input) => submittedVote(input, round) ?? [])
      for (let at = 0; at < Math.min(votes.length, votesLeft); at += SLICE) {
        const slice = votes.slice(at, Math.min(at + SLICE, votesLeft))
        for (const [index, found] of validSignatures(policy, digest, slice)) valid.set(index, found)
        await setImmediate()
        signal.throwIfAborted()
      }
      const enough = fewestOf(policy, valid)
      if (enough !== undefined) return enough
      votesLeft -= votes.length
      charactersLeft -= block.transactions.reduce((sum, { input }) => sum + input.length, 0)
      if (votesLeft <= 0 || charactersLeft <= 0) break
    }
    return undefined
  }
}

function inputsTo(
  submission: Hex,
  transactions: readonly { readonly to: Hex | null; readonly input: Hex }[],
): Hex[] {
  return transactions.filter(({ to }) => to === submission).map(({ input }) => input)
}
