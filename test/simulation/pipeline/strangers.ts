import type { BatchHeader } from '../../../src/domain/batch.js'
import { type Hex, keccak, utf8, ZERO_HASH } from '../../../src/domain/bytes.js'
import { chunkHash, entryBytes, entryLeaf } from '../../../src/domain/entry.js'
import { accountNumber, batchId, batchSeq, modelId } from '../../../src/domain/ids.js'
import { periodAt } from '../../../src/domain/period.js'
import type { BatchProof, EntryRun } from '../../../src/domain/proof.js'
import { runsFrom } from '../../../src/pipeline/runs.js'
import { policyProofOf } from './models/attestor.js'
import { type Anchored, lastOf } from './models/evm.js'
import { type Leaf, proofIn, rootMessage, signaturesOf } from './models/rounds.js'
import { freeOf, pay } from './models/vault.js'
import { changeVault, TARGET, type World } from './world.js'

/** What anybody may do with what is public, before us or after us. */
export const strangers = {
  /** Takes our call out of the pool and pays for it first. */
  strangerAnchors: ({ evm }: World) => {
    const ours = evm.pool.find(({ from, body }) => from === 'us' && body.kind === 'anchor')
    if (ours === undefined) return false
    return evm.sendAs('stranger', ours.body)
  },
  strangerRequests: ({ evm, random }: World) => {
    const { anchors } = evm.view()
    if (anchors.length === 0) return false
    return evm.sendAs('stranger', { kind: 'request', anchor: random.pick(anchors).anchor })
  },
  strangerBringsPolicy: ({ rounds, flow }: World) => {
    const next = flow.state().client.lastEpoch + 1
    if (!rounds.isPolicySigned(next)) return false
    return flow.runAsStranger({ kind: 'policy', proof: policyProofOf(rounds, next) })
  },
  strangerAccepts: (world: World) => {
    const proofs = proofsOf(world, world.meterKey.address)
    const { roots } = world.flow.state().stream
    const fresh = proofs.filter(({ header }) => !roots.has(header.seq))
    if (fresh.length === 0) return false
    return world.flow.runAsStranger({ kind: 'accept', proof: world.random.pick(fresh) })
  },
  strangerPoisons: ({ rounds, flow, random }: World) => {
    const double = [...rounds.all].filter(([, { otherRoot }]) => otherRoot !== undefined)
    if (double.length === 0) return false
    const [round, { otherRoot: root = ZERO_HASH }] = random.pick(double)
    const signatures = signaturesOf(rounds.epochOf(round), rootMessage(round, root))
    return flow.runAsStranger({ kind: 'root', proof: { round, root, signatures } })
  },
  strangerSettles: async ({ flow, store, random }: World) => {
    const seqs = [...flow.state().stream.roots.keys()]
    if (seqs.length === 0) return false
    const seq = random.pick(seqs)
    const { era } = await store.meters.current()
    const entries = await store.batches.entries(batchId(seq, era))
    if (entries.length === 0) return false
    const first = random.whole(0, entries.length - 1)
    const count = Math.min(random.whole(1, entries.length), flow.rules.entriesMax)
    return flow.runAsStranger({ kind: 'settle', seq, runs: runsFrom(entries, { first, count }) })
  },
  /** Alters the signature without breaking it: the same effect under another id. */
  strangerAlters: ({ flow, random }: World) => {
    const ours = flow.pool.filter(({ key, id }) => key !== 'stranger' && !id.startsWith('altered'))
    if (ours.length === 0) return false
    const tx = random.pick(ours)
    return flow.submit({ ...tx, id: `altered ${tx.id}` })
  },
  /** Has the key of a meter that was revoked, and bills our customers with it; or brings what it signed. */
  oldMeterBills: async (world: World) => {
    const { evm, oldMeter, flow, random } = world
    const meter = oldMeter.address
    const { header, run } = fraudOf(world)
    if (!evm.view().anchors.some((one) => isFraud(one, meter))) {
      const signature = await oldMeter.sign(header)
      return evm.sendAs('thief', { kind: 'anchor', header, signature })
    }
    const proofs = proofsOf(world, meter)
    const proof = proofs.length === 0 ? undefined : random.pick(proofs)
    if (proof === undefined || (proof.header.manifest !== FRAUD && random.next() < 0.5)) {
      const anchor = evm.view().anchors.find((one) => isFraud(one, meter))?.anchor
      return anchor !== undefined && evm.sendAs('thief', { kind: 'request', anchor })
    }
    flow.runAsStranger({ kind: 'accept', proof: { ...proof, meter } })
    const { seq, manifest } = proof.header
    const runs = manifest === FRAUD ? [run] : await runsOfOld(world, seq)
    return flow.runAsStranger({ kind: 'settle', seq, runs })
  },
  somebodyPaysOwed: (world: World) =>
    changeVault(world, (vault, now, state) => pay(vault, 0n, { ...state, now })),
  somebodyDeposits: (world: World) => {
    const units = BigInt(world.random.whole(1, 500)) * 10_000_000n
    changeVault(world, (vault) => {
      if (vault.status === 'closed') return vault
      const balance = vault.balance + units
      return { vault: { ...vault, balance }, moved: 0n, deposited: units }
    })
  },
  customerWithdraws: (world: World) =>
    changeVault(world, (vault, _now, { tokenPrice }) => {
      const units = freeOf(vault, tokenPrice) / 3n
      return { vault: { ...vault, balance: vault.balance - units }, moved: 0n, deposited: -units }
    }),
}

/** Every proof that can be made of what is served, for a meter's anchors. */
function proofsOf({ rounds, nowMs }: World, meter: Hex): BatchProof[] {
  return [...rounds.all].flatMap(([round, closed]) => {
    if (closed.finalisedAtMs > nowMs) return []
    const rewardEpoch = rounds.epochOf(round)
    const signatures = signaturesOf(rewardEpoch, rootMessage(round, closed.root))
    return closed.leaves
      .filter(({ anchored }: Leaf) => anchored.meter === meter)
      .map(({ anchored, attested }) => ({
        header: anchored.header,
        meter,
        attested,
        path: proofIn(closed, anchored.anchor)?.path ?? [],
        rootProof: { round, root: closed.root, rewardEpoch, signatures },
      }))
  })
}

const FRAUD = keccak(utf8('fraud'))

function isFraud({ meter, header }: Anchored, of: Hex): boolean {
  return meter === of && header.manifest === FRAUD
}

/** What one of our own batches stated, that the meter signed before it was revoked. */
async function runsOfOld({ store, oldMeter }: World, seq: bigint): Promise<EntryRun[]> {
  const era = (await store.meters.all()).find(({ meter }) => meter === oldMeter.address)?.era ?? 0
  const entries = await store.batches.entries(batchId(seq, era))
  return runsFrom(entries, { first: 0, count: entries.length })
}

/** A batch that says that account 7 used very much this month. */
function fraudOf({ schedule, evm, oldMeter }: World): { header: BatchHeader; run: EntryRun } {
  const usage = { cachedPromptTokens: 0n, completionTokens: 0n, requests: 9n }
  const entry = {
    accountNumber: accountNumber(7n),
    periodStart: periodAt(schedule.startMs, 'month').startsAt,
    recordsRoot: ZERO_HASH,
    rows: [{ modelId: modelId(1), promptTokens: 10n ** 9n, ...usage }],
  }
  const root = chunkHash([entryLeaf(entry)])
  const rest = { sealedAt: 1, target: TARGET, manifest: FRAUD }
  const last = lastOf(evm.view().anchors, oldMeter.address)
  return {
    header: { seq: batchSeq(last.seq + 1n), root, prevRoot: last.root, ...rest },
    run: { leavesBefore: [], entries: [entryBytes(entry)], leavesAfter: [], path: [] },
  }
}
