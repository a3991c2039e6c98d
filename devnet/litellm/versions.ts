/** The LiteLLM releases whose answers were recorded from the genuine proxy on PostgreSQL 15. */
export type LitellmVersion = '1.81.16' | '1.96.2' | '1.104.2'

/** Where the recorded releases differ. */
export interface VersionTraits {
  readonly version: LitellmVersion
  /** Above it `page_size` is answered with 422. */
  readonly pageSizeMax: number
  /** `total` counts no further than this; null where it is always exact. */
  readonly totalCap: number | null
  /** `/health/readiness/details`, and a public readiness that tells no version. */
  readonly hasReadinessDetails: boolean
  /** Whether an admin viewer may read `/spend/logs/v2`. */
  readonly isViewerAllowed: boolean
  /** Whether a denied role is answered with 200 and no rows; older releases answer 401. */
  readonly isWrongRoleSilent: boolean
  /** The status that a key made for model calls only gets on other routes. */
  readonly modelKeyStatus: 401 | 403
  /** Whether a client that leaves in mid-stream leaves a row behind. */
  readonly logsDisconnects: boolean
  /** Whether failure rows carry an estimate of the prompt. */
  readonly estimatesFailures: boolean
  /** A column of its own, beside the one in the metadata. */
  readonly hasCallIdColumn: boolean
  /** `request_duration_ms`, `model_group` as a filter, `user_id` of the aggregate. */
  readonly hasLaterColumns: boolean
  /** Whether rows of the master key carry its hash in place of a name. */
  readonly hashesMasterKey: boolean
}

const V1_96: VersionTraits = {
  version: '1.96.2',
  pageSizeMax: 1000,
  totalCap: 10_000,
  hasReadinessDetails: true,
  isViewerAllowed: true,
  isWrongRoleSilent: true,
  modelKeyStatus: 403,
  logsDisconnects: true,
  estimatesFailures: false,
  hasCallIdColumn: false,
  hasLaterColumns: true,
  hashesMasterKey: false,
}

const ALL: Record<LitellmVersion, VersionTraits> = {
  '1.81.16': {
    version: '1.81.16',
    pageSizeMax: 100,
    totalCap: null,
    hasReadinessDetails: false,
    isViewerAllowed: false,
    isWrongRoleSilent: false,
    modelKeyStatus: 401,
    logsDisconnects: false,
    estimatesFailures: false,
    hasCallIdColumn: false,
    hasLaterColumns: false,
    hashesMasterKey: true,
  },
  '1.96.2': V1_96,
  '1.104.2': { ...V1_96, version: '1.104.2', estimatesFailures: true, hasCallIdColumn: true },
}

export function traitsOf(version: LitellmVersion): VersionTraits {
  return ALL[version]
}
