import { type Hash, keccak, utf8 } from './bytes.js'
import { assert } from './errors.js'
import type { BatchSeq } from './ids.js'

/** What the meter signs (EIP-712) and the anchor takes. */
export interface BatchHeader {
  readonly seq: BatchSeq
  readonly root: Hash
  /** The root of the batch before; zero for the first. */
  readonly prevRoot: Hash
  /** Seconds since 1970, UTC. */
  readonly sealedAt: number
  readonly target: Hash
  /** keccak of the batch's canonical JSON. */
  readonly manifest: Hash
}

/** All of it: two batches that state the same have one root, and are two batches all the same. */
export function isSameHeader(one: BatchHeader, other: BatchHeader): boolean {
  return (
    one.seq === other.seq &&
    one.root === other.root &&
    one.prevRoot === other.prevRoot &&
    one.sealedAt === other.sealedAt &&
    one.target === other.target &&
    one.manifest === other.manifest
  )
}

/** Binds a batch to one place: a staging batch is worth nothing on mainnet. */
export function targetOf(network: string, usageBatchesAddress: string): Hash {
  const address = usageBatchesAddress.replace(/^0x/, '').toLowerCase()
  assert(/^[0-9a-f]{16}$/.test(address), `not a Flow address: ${usageBatchesAddress}`)
  return keccak(utf8(`flow:${network}:${address}`))
}

/**
 * sealed ─▶ anchored ─▶ requested ─▶ finalised ─▶ attested ─▶ accepted ─▶ settled
 *   ▲ vanished │ ▲           │  missed  │            │           │
 *   └──────────┘ └───────────┴──────────┴────────────┘           └─▶ superseded
 * `vanished` may follow requested and finalised too: the round goes with its anchor.
 * `parked` may follow anchored and all after it; `retried` or `superseded` ends it.
 * `voided` may follow all but settled and superseded: with its meter, nothing of a batch counts any more.
 */
export type BatchLife =
  | { readonly state: 'sealed' | 'accepted' | 'settled' }
  /** `reason` where it was void: its meter was revoked before Flow had settled it. */
  | { readonly state: 'superseded'; readonly reason?: string }
  | ({ readonly state: 'anchored' } & Anchored)
  | ({ readonly state: 'requested' | 'finalised' | 'attested'; readonly round: number } & Anchored)
  | { readonly state: 'parked'; readonly reason: string; readonly from: BatchLife }

export type BatchState = BatchLife['state']

/** Where the header stands on Flare, found by its event, whoever sent it. */
export interface Anchor {
  readonly txHash: Hash
  readonly blockNumber: number
  /** Block-level, as the receipt gives it. */
  readonly logIndex: number
}

export interface Anchored {
  readonly anchor: Anchor
  /** Rounds that should have proven the anchor and did not. Only later ones can serve. */
  readonly missedRounds: readonly number[]
}

export type BatchEvent =
  | { readonly type: 'anchored'; readonly anchor: Anchor }
  | { readonly type: 'requested'; readonly round: number }
  | { readonly type: 'parked' | 'voided'; readonly reason: string }
  | { readonly type: 'vanished' | 'missed' | 'finalised' | 'attested' | 'accepted' | 'settled' }
  | { readonly type: 'superseded' | 'retried' }

/** Pure: what the batch becomes. Finding out which event happened is the pipeline's work. */
export function advance(life: BatchLife, event: BatchEvent): BatchLife {
  switch (event.type) {
    case 'anchored':
      assert(life.state === 'sealed', wrong(life, event))
      return { state: 'anchored', anchor: event.anchor, missedRounds: [] }
    case 'vanished': // The anchor's transaction left the chain, or moved: it is looked for again.
      assert('anchor' in life && life.state !== 'attested', wrong(life, event))
      return { state: 'sealed' }
    case 'requested':
      assert(life.state === 'anchored', wrong(life, event))
      return { ...life, state: 'requested', round: event.round }
    case 'missed': // No leaf in its round's tree, the round poisoned, or its policy gone.
      assert('round' in life, wrong(life, event))
      return {
        state: 'anchored',
        anchor: life.anchor,
        missedRounds: [...life.missedRounds, life.round],
      }
    case 'finalised':
      assert(life.state === 'requested', wrong(life, event))
      return { ...life, state: 'finalised' }
    case 'attested':
      assert(life.state === 'finalised', wrong(life, event))
      return { ...life, state: 'attested' }
    case 'accepted': // Anybody may bring the proof, so it can happen before we have ours.
      assert('anchor' in life, wrong(life, event))
      return { state: 'accepted' }
    case 'settled':
      assert(life.state === 'accepted', wrong(life, event))
      return { state: 'settled' }
    case 'superseded':
      assert(life.state === 'accepted' || life.state === 'parked', wrong(life, event))
      return { state: 'superseded' }
    case 'voided':
      assert(!isOver(life), wrong(life, event))
      return { state: 'superseded', reason: event.reason }
    case 'parked':
      assert('anchor' in life || life.state === 'accepted', wrong(life, event))
      return { state: 'parked', reason: event.reason, from: life }
    case 'retried': // By an operator: it goes on from where it stopped.
      assert(life.state === 'parked', wrong(life, event))
      // The rounds that missed are forgiven: else a batch parked for their number parks again.
      return 'anchor' in life.from ? { ...life.from, missedRounds: [] } : life.from
  }
}

/** Its meter was revoked first, perhaps since somebody else had its key: nothing was made of it. */
export function isVoid(life: BatchLife): boolean {
  return life.state === 'superseded' && life.reason !== undefined
}

/** Nothing more will become of it. */
export function isOver({ state }: BatchLife): boolean {
  return state === 'settled' || state === 'superseded'
}

/** Not yet accepted on Flow: at most one batch is, because totals gain nothing from a queue. */
export const IN_FLIGHT_STATES = [
  'sealed',
  'anchored',
  'requested',
  'finalised',
  'attested',
] as const satisfies readonly BatchState[]

function wrong(life: BatchLife, event: BatchEvent): string {
  return `a batch that is ${life.state} cannot be ${event.type}`
}
