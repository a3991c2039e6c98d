import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './json-server.js'

/** How the network misbehaves. */
export type FlareFaultKind =
  /** Providers do nothing until it is lifted. Rounds that end meanwhile get no root. */
  | { readonly kind: 'paused' }
  /** Nobody but the one under test sends a transaction: providers and neighbours hold theirs. */
  | { readonly kind: 'quiet' }
  /** So many of a policy's voters, the heaviest, neither vote nor sign until it is lifted. */
  | { readonly kind: 'absentVoters'; readonly heaviest: number }
  /** Policies are neither set nor signed until it is lifted; the last one goes on. */
  | { readonly kind: 'policyLate' }
  /** A round with requests of others than the neighbours gets no root. */
  | { readonly kind: 'missedRound' }
  /** Such a round's root is relayed so that nobody reads the signatures in the transaction. */
  | { readonly kind: 'encodedRelay' }
  /** A request of others than the neighbours is not confirmed, though its round is. */
  | { readonly kind: 'droppedRequest' }
  /** A round's proofs are served only so long after its root. */
  | { readonly kind: 'lateProofs'; readonly delayMs: number }
  /** Any status with any body from one of the two servers. */
  | {
      readonly kind: 'answer'
      readonly server: 'da' | 'verifier'
      readonly status: number
      readonly body: unknown
    }
  /** One of the two servers thinks so long before it answers what is true. */
  | { readonly kind: 'slow'; readonly server: 'da' | 'verifier'; readonly delayMs: number }

export type FlareFault = FlareFaultKind & {
  /** How often it strikes, if it strikes at all; 1 unless told, Infinity: until it is lifted. */
  readonly times?: number
}

/** The faults to come, used up from the oldest. */
export class FaultPlan {
  #planned: { readonly fault: FlareFault; left: number }[] = []

  /** Returns what lifts the fault again. */
  add(fault: FlareFault): () => void {
    const planned = { fault, left: fault.times ?? 1 }
    this.#planned.push(planned)
    return () => {
      this.#planned = this.#planned.filter((other) => other !== planned)
    }
  }

  clear(): void {
    this.#planned = []
  }

  /** Whether a fault that lasts is on. Uses nothing up. */
  isOn(kind: 'paused' | 'policyLate' | 'quiet'): boolean {
    return this.#planned.some(({ fault }) => fault.kind === kind)
  }

  /** How many of the heaviest voters are away. Uses nothing up. */
  absentVoters(): number {
    const counts = this.#planned.map(({ fault }) =>
      fault.kind === 'absentVoters' ? fault.heaviest : 0,
    )
    return Math.max(0, ...counts)
  }

  /** The next fault of a kind, if any, used up once. */
  take<Kind extends FlareFault['kind']>(
    kind: Kind,
    where: (fault: Extract<FlareFault, { kind: Kind }>) => boolean = () => true,
  ): Extract<FlareFault, { kind: Kind }> | undefined {
    for (const planned of this.#planned) {
      const { fault } = planned
      if (planned.left <= 0 || fault.kind !== kind) continue
      const match = fault as Extract<FlareFault, { kind: Kind }>
      if (!where(match)) continue
      planned.left -= 1
      return match
    }
    return undefined
  }
}

/** What a server says while its faults are on: what was planned, or the truth, perhaps late. */
export async function faultyAnswer(
  faults: FaultPlan,
  server: 'da' | 'verifier',
  truth: () => Promise<Answer>,
): Promise<Answer> {
  const isHere = (fault: { readonly server: string }) => fault.server === server
  const planned = faults.take('answer', isHere)
  if (planned !== undefined) return { status: planned.status, body: planned.body }
  const slow = faults.take('slow', isHere)
  if (slow !== undefined) await sleep(slow.delayMs, undefined, { ref: false })
  return truth()
}
