import type { Receipts } from '../domain/receipts.js'
import type { Mapped } from '../mapping/index.js'
import type { Status } from '../pipeline/status.js'
import type { Finding } from '../ports/finding.js'
import type { Directory } from '../ports/stores.js'
import type { BudgetsTools } from './budgets-tools.js'
import type { ConfigTools } from './config-command.js'
import type { CreditsTools } from './credits-tools.js'
import type { DeskParts } from './desk-parts.js'
import type { Asker, InitTools } from './init.js'
import type { KeysTools } from './keys-tools.js'
import type { MeteringTools } from './metering-tools.js'
import type { NoticeTools } from './notices.js'
import type { OperationsTools } from './operations-tools.js'

import type { ReportTools } from './report.js'

import type { TokensTools } from './tokens-tools.js'

/** What commands are given, so that a test can hand them something else. Each loads on demand. */
export interface CliParts {
  readonly version: string
  readonly print: (line: string) => void
  readonly start: () => Promise<void>
  readonly mapUser: (user: string) => Promise<Mapped>
  readonly readStatus: () => Promise<Status>
  readonly examine: () => Promise<readonly Finding[]>
  readonly withDirectory: <Result>(
    work: (directory: Directory) => Promise<Result>,
  ) => Promise<Result>
  readonly metering: () => Promise<MeteringTools>
  readonly receipts: () => Promise<ReceiptsTools>
  readonly operations: () => Promise<OperationsTools>
  readonly reports: () => Promise<ReportTools>
  readonly notices: () => Promise<NoticeTools>
  readonly tokens: () => Promise<TokensTools>
  readonly keys: () => Promise<KeysTools>
  readonly budgets: () => Promise<BudgetsTools>
  readonly config: () => Promise<ConfigTools>
  readonly init: () => Promise<InitTools>
  /** Undefined: nobody can be asked. */
  readonly asker: () => Asker | undefined
  readonly credits: () => Promise<CreditsTools>
  readonly demo: (options: DemoOptions) => Promise<number>
  /** For people with keys of their own: plans, vaults, provider. */
  readonly desks: DeskParts
}

export interface ReceiptsTools {
  /**
   * The receipts of one period, its start in seconds; without one, of the only one that there is.
   * `periods` are all of the account, for whoever has to choose.
   */
  make(
    account: bigint,
    periodStart: number | undefined,
  ): Promise<{ readonly periods: readonly number[]; readonly receipts?: Receipts }>
  /** @throws ConfigError `receipts_file` */
  read(path: string): Promise<Receipts>
}

export interface DemoOptions {
  readonly isJson: boolean
  readonly isKept: boolean
  /** Whether a vault runs dry, and what its key may do then. */
  readonly isBudgets?: boolean
  /** Whether the nodes of both chains misbehave, and by which row of faults. */
  readonly faultSeed?: number
}

/** One JSON object, large integers as text. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'bigint' ? part.toString() : part,
  )
}
