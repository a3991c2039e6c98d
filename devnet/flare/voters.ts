import { computeAddress, id, SigningKey } from 'ethers'
import type { SigningPolicy } from './formats.js'

/** One more than a policy has, so that every epoch another one is left out. */
const KEYS = 6
/** They sum to 65535. More than two have to sign, and any four suffice under a raised threshold. */
const WEIGHTS = [15_500, 14_000, 13_000, 12_000, 11_035] as const

export interface VoterKey {
  readonly key: SigningKey
  readonly address: string
}

/** The signing keys of the local network's providers, the same at every start. */
export const VOTER_KEYS: readonly VoterKey[] = Array.from({ length: KEYS }, (_, i) => {
  const key = new SigningKey(id(`flowmeter devnet provider ${i}`))
  return { key, address: computeAddress(key) }
})

/** Who votes in a reward epoch. From one to the next a voter leaves and weights change. */
export function votersOf(rewardEpochId: number): SigningPolicy['voters'] {
  return WEIGHTS.map((weight, i) => {
    const voter = VOTER_KEYS[(rewardEpochId + i) % KEYS]
    if (voter === undefined) throw new Error('no such voter')
    return { address: voter.address, weight }
  })
}

export function seedOf(rewardEpochId: number): bigint {
  return BigInt(id(`flowmeter devnet seed ${rewardEpochId}`))
}

/** Half of the weight, rounded up, as on Flare. */
export function thresholdOf(voters: SigningPolicy['voters']): number {
  return Math.ceil(voters.reduce((sum, { weight }) => sum + weight, 0) / 2)
}

/** All but so many of the heaviest, who are away. */
export function presentVoters(voters: SigningPolicy['voters'], absent: number): Set<string> {
  const byWeight = [...voters].sort((a, b) => b.weight - a.weight)
  return new Set(byWeight.slice(absent).map(({ address }) => address))
}

export function keyOf(address: string): SigningKey {
  const voter = VOTER_KEYS.find((other) => other.address === address)
  if (voter === undefined) throw new Error(`not a voter: ${address}`)
  return voter.key
}
