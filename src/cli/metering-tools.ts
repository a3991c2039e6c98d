import type { AccountNumber } from '../domain/ids.js'
import type { SetAside } from '../domain/set-aside.js'
import type { PayerField, RecordKey } from '../domain/usage-record.js'
import type { Mapped } from '../mapping/index.js'
import type { BackfillCounts, BackfillPreview } from '../pipeline/backfill.js'
import type { CorrectionPreview } from '../pipeline/correct.js'
import type { Ordered, RecordedCorrection } from '../pipeline/record-correction.js'
import type { DayComparison } from '../ports/control-totals.js'
import type { Decision } from '../ports/decisions.js'
import type { WaitingUsage } from '../ports/payers.js'
import type { SetAsideChoice, Verdict } from '../ports/set-asides.js'
import type { SeenReject } from '../ports/stores.js'

/** What the metering commands are made of. Each method loads what it needs. */
export interface MeteringTools {
  explain(user: string, source: string | undefined): Promise<Explained>
  mapAll(): Promise<MapAll>
  listUnmapped(): Promise<readonly WaitingUsage[]>
  /** How many records, and what is known of the vault they go to. */
  release(
    payer: string,
    source: string | undefined,
    to: AccountNumber | undefined,
  ): Promise<{ readonly records: number; readonly vault?: string }>
  correction(): Promise<CorrectionPreview>
  /** Records the corrections that today's mapping asks for, or that take these records out. */
  correct(order: CorrectionOrder): Promise<readonly RecordedCorrection[]>
  corrections(limit: number): Promise<readonly RecordedCorrection[]>
  decisions(
    limit: number,
  ): Promise<readonly { readonly key: RecordKey; readonly decision: Decision }[]>
  setAsides(choice: SetAsideChoice, limit: number): Promise<readonly SetAside[]>
  decide(rows: readonly SetAside[], word: SetAsideWord): Promise<readonly Verdict[]>
  rejects(limit: number): Promise<readonly SeenReject[]>
  audit(source: string | undefined, days: DayRange | undefined): Promise<readonly AuditedDay[]>
  backfill(options: BackfillOptions): Promise<readonly BackfillOutcome[]>
}

export interface CorrectionOrder extends Ordered {
  /** Whose totals fall; all unless given. */
  readonly account?: AccountNumber
  /** These records count nowhere any more; absent: where the mapping puts them. */
  readonly waived?: readonly RecordKey[]
}

/** Count it, count it in place of the row that was read first, or leave it uncounted. */
export type SetAsideWord = 'count' | 'instead' | 'dismiss'

export interface AuditedDay extends DayComparison {
  /** Why a difference need not mean anything. */
  readonly caveat?: string
}

/** Both included, `2026-11-21`, UTC. */
export interface DayRange {
  readonly from: string
  readonly until: string
}

export interface Explained extends Mapped {
  readonly payerField: PayerField
  /** Strategies that another one came before. */
  readonly notAsked: readonly string[]
  /** What the store knows of the account; absent where there is no account. */
  readonly vault?: string
}

export interface MapAll {
  readonly payers: number
  readonly records: number
  /** Those that would wait, by the mapping of the settings and the vaults as last seen. */
  readonly unmapped: readonly WaitingUsage[]
}

export interface BackfillOptions {
  readonly fromMs: number
  readonly untilMs: number
  readonly source: string | undefined
  readonly isRun: boolean
  readonly onSlice: (source: string, untilMs: number, added: number) => void
}

export type BackfillOutcome =
  | ({ readonly source: string; readonly kind: 'preview' } & BackfillPreview)
  | ({ readonly source: string; readonly kind: 'run' } & BackfillCounts)
  /** Nothing of the range lies below where reading stands. */
  | { readonly source: string; readonly kind: 'nothing'; readonly why: string }
