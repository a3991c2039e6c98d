import { type Hash, type Hex, keccak } from '../../../../src/domain/bytes.js'
import { CHUNK_MAX, chunkHash } from '../../../../src/domain/entry.js'
import { rootFromPath } from '../../../../src/domain/merkle.js'
import type { BatchProof, EntryRun, PolicyProof, RootProof } from '../../../../src/domain/proof.js'
import type { EntryKey } from '../../../../src/domain/usage-total.js'
import type { EntryResult } from '../../../../src/ports/settler.js'
import type { Plan } from '../../../../src/pricing/plan.js'
import { decodeEntry } from '../../../support/test-flow.js'
import { isProven, type LightClient, submitPolicy, submitRoot } from './light-client.js'
import { attestationLeaf } from './rounds.js'
import { correctVault, most, settleEntry, type VaultState } from './vault.js'

export type FlowBody =
  | { readonly kind: 'policy'; readonly proof: PolicyProof }
  | { readonly kind: 'root'; readonly proof: Pick<RootProof, 'round' | 'root' | 'signatures'> }
  | { readonly kind: 'accept'; readonly proof: BatchProof }
  | { readonly kind: 'settle'; readonly seq: bigint; readonly runs: readonly EntryRun[] }
  | ({ readonly kind: 'correct' } & CorrectBody)
  /** By the provider alone. */
  | { readonly kind: 'setMeter'; readonly meter: Hex }

/** By the provider alone. */
export interface CorrectBody extends EntryKey {
  readonly billable: bigint
  readonly afterSeq: bigint
}

/** UsageBatches.Stream of our provider. */
export interface StreamState {
  readonly meter: Hex
  readonly meterEpoch: number
  /** Seconds. */
  readonly activeFrom: number
  readonly highestSeq: bigint
  readonly roots: ReadonlyMap<bigint, Hash>
  /** Meters that must not come back. */
  readonly revoked: ReadonlySet<Hex>
}

/** All that the contracts hold as of one block. Never changed: a block makes another one. */
export interface FlowState {
  readonly client: LightClient
  readonly stream: StreamState
  readonly vaults: ReadonlyMap<bigint, VaultState>
  readonly earnings: bigint
  /** What lies in the pool of the token, in units. */
  readonly pool: bigint
  /** Wad for a whole token; 0: stale. */
  readonly tokenPrice: bigint
  /** Wad above which the charge of an entry waits for the provider; absent: none does. */
  readonly maxCharge: bigint | undefined
  readonly plans: ReadonlyMap<string, Plan>
  readonly models: readonly string[]
}

export interface EntryEvent extends EntryKey {
  readonly seq: bigint
  readonly meterEpoch: number
  readonly result: EntryResult
}

/** What differs from network to network. */
export interface ContractRules {
  readonly target: Hash
  /** Seconds until a provider's next meter is active. */
  readonly meterDelay: number
  /** Roots of batches that are held. */
  readonly rootsHeld: bigint
  /** Entries that one transaction may bring before it runs out of computation. */
  readonly entriesMax: number
  /** Accounts whose entries make every transaction fail that brings them. */
  readonly breaking: ReadonlySet<bigint>
}

export interface Outcome {
  readonly state: FlowState
  readonly events: readonly EntryEvent[]
  readonly correction?: CorrectBody & { readonly meterEpoch: number }
}

/** Runs one transaction. @throws what it reverts with: then nothing of it has happened */
export function runBody(
  state: FlowState,
  body: FlowBody,
  now: number,
  rules: ContractRules,
): Outcome {
  switch (body.kind) {
    case 'policy':
      return { state: { ...state, client: submitPolicy(state.client, body.proof) }, events: [] }
    case 'root':
      return { state: { ...state, client: submitRoot(state.client, body.proof) }, events: [] }
    case 'accept':
      return { state: acceptBatch(state, body.proof, now, rules), events: [] }
    case 'settle':
      return settleRuns(state, body, now, rules)
    case 'setMeter':
      return { state: setMeter(state, body.meter, now, rules), events: [] }
    case 'correct':
      return correctUsage(state, body)
  }
}

/** The next meter begins a stream of its own: nothing of the one before is settled any more. */
function setMeter(
  state: FlowState,
  meter: Hex,
  now: number,
  { meterDelay }: ContractRules,
): FlowState {
  const { stream } = state
  const revoked = new Set(stream.revoked).add(stream.meter)
  if (revoked.has(meter)) throw new Error('setMeter: in use, or was revoked')
  const meterEpoch = stream.meterEpoch + 1
  const fresh = { highestSeq: 0n, roots: new Map<bigint, Hash>() }
  return {
    ...state,
    stream: { meter, meterEpoch, activeFrom: now + meterDelay, ...fresh, revoked },
  }
}

/** Root and batch in one transaction. */
function acceptBatch(
  before: FlowState,
  { header, attested, path, rootProof }: BatchProof,
  now: number,
  { target, rootsHeld }: ContractRules,
): FlowState {
  const state = { ...before, client: submitRoot(before.client, rootProof) }
  const { stream } = state
  if (now < stream.activeFrom) throw new Error('acceptBatch: the meter is not active yet')
  // Meter and target are the contract's own: a header for others makes another leaf.
  const leaf = attestationLeaf(attested, stream.meter, { ...header, target })
  if (!isProven(state.client, attested.round, leaf, path)) {
    throw new Error(`acceptBatch: round ${attested.round} does not prove batch ${header.seq}`)
  }
  const { seq, root } = header
  if (seq <= baseOf(stream.highestSeq, rootsHeld)) throw new Error('Stream.add: not above the base')
  if (stream.roots.has(seq)) throw new Error(`Stream.add: batch ${seq} is there already`)
  const highestSeq = most(seq, stream.highestSeq)
  const roots = new Map(stream.roots).set(seq, root)
  for (const one of roots.keys()) if (one <= baseOf(highestSeq, rootsHeld)) roots.delete(one)
  return { ...state, stream: { ...stream, highestSeq, roots } }
}

function settleRuns(
  before: FlowState,
  { seq, runs }: Extract<FlowBody, { kind: 'settle' }>,
  now: number,
  { entriesMax, breaking }: ContractRules,
): Outcome {
  if (runs.reduce((sum, { entries }) => sum + entries.length, 0) > entriesMax) {
    throw new Error('[Error Code: 1110] computation exceeds limit')
  }
  const root = before.stream.roots.get(seq)
  const events: EntryEvent[] = []
  let state = before
  for (const { leavesBefore, entries, leavesAfter, path } of runs) {
    const leaves = [...leavesBefore, ...entries.map((bytes) => keccak(bytes)), ...leavesAfter]
    const isRun =
      root !== undefined &&
      entries.length > 0 &&
      leaves.length <= CHUNK_MAX &&
      rootFromPath(chunkHash(leaves), path) === root
    if (!isRun) throw new Error(`settle: Entries, leaves and path miss the root of batch ${seq}`)
    for (const bytes of entries) {
      const { accountNumber } = decodeEntry(bytes)
      if (breaking.has(accountNumber)) throw new Error(`account ${accountNumber} breaks it`)
      const settled = settleBytes(state, bytes, seq, now)
      state = settled.state
      events.push(settled.event)
    }
  }
  return { state, events }
}

function settleBytes(state: FlowState, bytes: Hex, seq: bigint, now: number) {
  const entry = decodeEntry(bytes)
  const { accountNumber, periodStart } = entry
  const { meterEpoch } = state.stream
  const vault = state.vaults.get(accountNumber)
  const event = (result: EntryResult): EntryEvent => {
    return { accountNumber, periodStart, seq, meterEpoch, result }
  }
  if (vault === undefined) return { state, event: event('unknownAccount') }
  const { tokenPrice, plans, maxCharge } = state
  const terms = { seq, meterEpoch, now, tokenPrice, plans, maxCharge }
  const settled = settleEntry(vault, entry, terms)
  const vaults = new Map(state.vaults).set(accountNumber, settled.vault)
  const earnings = state.earnings + settled.moved
  return { state: { ...state, vaults, earnings }, event: event(settled.result) }
}

function correctUsage(state: FlowState, body: CorrectBody): Outcome {
  const { accountNumber, periodStart } = body
  const { stream, tokenPrice, plans } = state
  const before = state.vaults.get(accountNumber)
  if (before === undefined) throw new Error(`correct: no vault ${accountNumber}`)
  const { meterEpoch } = stream
  const { vault, moved } = correctVault(before, body, { meterEpoch, tokenPrice, plans })
  if (moved > state.earnings) throw new Error('correct: more than the earnings')
  const vaults = new Map(state.vaults).set(accountNumber, vault)
  const record = vault.records.get(periodStart)
  const { billable, lastSeq: afterSeq } = record ?? { billable: 0n, lastSeq: 0n }
  return {
    state: { ...state, vaults, earnings: state.earnings - moved },
    events: [],
    correction: { accountNumber, periodStart, billable, afterSeq, meterEpoch },
  }
}

/** Batches up to it are neither held nor taken. */
function baseOf(highestSeq: bigint, rootsHeld: bigint): bigint {
  return highestSeq > rootsHeld ? highestSeq - rootsHeld : 0n
}
