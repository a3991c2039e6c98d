/** One confirmed request, as the DA layer serves it. */
export interface Attestation {
  readonly votingRoundId: number
  /** As requested, in lower case. */
  readonly requestHex: string
  readonly responseHex: string
  readonly attestationType: string
  readonly proof: readonly string[]
}

/** About a day of rounds with four requests each. */
const ROUNDS_MAX = 30_000

/** What the DA layer has of each round. */
export class Proofs {
  readonly #rounds = new Map<number, { attestations: readonly Attestation[]; fromMs: number }>()

  /** @param delayMs how long it takes until they are served. */
  publish(votingRoundId: number, attestations: readonly Attestation[], delayMs: number): void {
    this.#rounds.set(votingRoundId, { attestations, fromMs: Date.now() + delayMs })
    const [oldest] = this.#rounds.keys()
    if (this.#rounds.size > ROUNDS_MAX && oldest !== undefined) this.#rounds.delete(oldest)
  }

  round(votingRoundId: number): readonly Attestation[] {
    const round = this.#rounds.get(votingRoundId)
    return round === undefined || Date.now() < round.fromMs ? [] : round.attestations
  }

  /** Of one round, or of the latest that has it. The request is compared letter by letter. */
  find(requestHex: string, votingRoundId: number | undefined): Attestation | undefined {
    const rounds =
      votingRoundId === undefined ? [...this.#rounds.keys()].sort((a, b) => b - a) : [votingRoundId]
    for (const round of rounds) {
      const found = this.round(round).find((attestation) => attestation.requestHex === requestHex)
      if (found !== undefined) return found
    }
    return undefined
  }

  latestRound(): number | undefined {
    return [...this.#rounds.keys()].reduce<number | undefined>(
      (latest, round) => (latest === undefined || round > latest ? round : latest),
      undefined,
    )
  }
}
