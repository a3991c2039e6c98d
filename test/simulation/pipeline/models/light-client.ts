import { fromHex, type Hash, type Hex } from '../../../../src/domain/bytes.js'
import { rootFromPath } from '../../../../src/domain/merkle.js'
import type { PolicyProof, RootProof } from '../../../../src/domain/proof.js'
import { isSigned, policyMessage, rootMessage } from './rounds.js'

interface Policy {
  readonly startRound: number
  readonly roots: ReadonlyMap<number, Hash>
  readonly poisoned: ReadonlySet<number>
}

/** FlareLightClient: policies by reward epoch, and the roots of the rounds that they serve. */
export interface LightClient {
  readonly roundsPerEpoch: number
  readonly epochsKept: number
  readonly firstEpoch: number
  readonly lastEpoch: number
  readonly policies: ReadonlyMap<number, Policy>
}

export function startLightClient(
  epoch: number,
  policy: Hex,
  lengths: Pick<LightClient, 'roundsPerEpoch' | 'epochsKept'>,
): LightClient {
  const policies = new Map([[epoch, parsePolicy(policy)]])
  return { ...lengths, firstEpoch: epoch, lastEpoch: epoch, policies }
}

/** @throws what the transaction reverts with */
export function submitPolicy(client: LightClient, proof: PolicyProof): LightClient {
  const { epoch, startRound } = parse(proof.policy)
  if (epoch !== client.lastEpoch + 1) throw new Error(`Epoch ${epoch} does not follow`)
  if (!isSigned(client.lastEpoch, policyMessage(proof.policy), proof.signatures)) {
    throw new Error('submitPolicy: not enough signatures')
  }
  const policies = new Map(client.policies)
  policies.set(epoch, { startRound, roots: new Map(), poisoned: new Set() })
  let { firstEpoch } = client
  while (policies.size > client.epochsKept) {
    policies.delete(firstEpoch)
    firstEpoch += 1
  }
  return { ...client, firstEpoch, lastEpoch: epoch, policies }
}

/** A root that is there is a success; another one poisons the round. @throws as above */
export function submitRoot(
  client: LightClient,
  { round, root, signatures }: Pick<RootProof, 'round' | 'root' | 'signatures'>,
): LightClient {
  const epoch = epochServing(client, round)
  const policy = epoch === undefined ? undefined : client.policies.get(epoch)
  if (epoch === undefined || policy === undefined) throw new Error(`No policy serves ${round}`)
  const known = policy.roots.get(round)
  if (known === root) return client
  if (!isSigned(epoch, rootMessage(round, root), signatures)) {
    throw new Error('submitRoot: not enough signatures')
  }
  const changed =
    known === undefined
      ? { ...policy, roots: new Map(policy.roots).set(round, root) }
      : { ...policy, poisoned: new Set(policy.poisoned).add(round) }
  return { ...client, policies: new Map(client.policies).set(epoch, changed) }
}

export function isProven(
  client: LightClient,
  round: number,
  leaf: Hash,
  path: readonly Hash[],
): boolean {
  const epoch = epochServing(client, round)
  const policy = epoch === undefined ? undefined : client.policies.get(epoch)
  if (policy === undefined || policy.poisoned.has(round)) return false
  return policy.roots.has(round) && rootFromPath(leaf, path) === policy.roots.get(round)
}

/** Whether a root of the round counts, or could. */
export function canProve(client: LightClient, round: number): boolean {
  const epoch = epochServing(client, round)
  const policy = epoch === undefined ? undefined : client.policies.get(epoch)
  return policy !== undefined && !policy.poisoned.has(round)
}

/** As the contract has it: after the nominal start of epoch r + 1 only policy r + 1 can tell. */
function epochServing(client: LightClient, round: number): number | undefined {
  const { policies, firstEpoch, lastEpoch, roundsPerEpoch } = client
  const startOf = (epoch: number) => policies.get(epoch)?.startRound ?? Number.POSITIVE_INFINITY
  if (round < startOf(firstEpoch)) return undefined
  const nominal = Math.floor(round / roundsPerEpoch)
  if (nominal < firstEpoch) return undefined
  let epoch = Math.min(nominal, lastEpoch)
  while (round < startOf(epoch)) epoch -= 1
  if (epoch === lastEpoch) return nominal === epoch ? epoch : undefined
  return round < startOf(epoch + 1) ? epoch : undefined
}

function parsePolicy(policy: Hex): Policy {
  return { startRound: parse(policy).startRound, roots: new Map(), poisoned: new Set() }
}

function parse(policy: Hex): { readonly epoch: number; readonly startRound: number } {
  return JSON.parse(new TextDecoder().decode(fromHex(policy)))
}
