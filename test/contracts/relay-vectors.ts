import { readFileSync } from 'node:fs'
import { computeAddress, dataSlice, SigningKey, toBeHex } from 'ethers'
import type { SigningPolicy } from '../../devnet/flare/formats.js'

export interface EventVector {
  readonly topics: readonly string[]
  readonly data: string
}

export interface PolicyVector {
  readonly name: string
  readonly bytes: string
  readonly rewardEpochId: number
  readonly startVotingRoundId: number
  readonly threshold: number
  readonly voterKeys: readonly number[] | null
  readonly legacy: string
  readonly bound: string
}

export interface RelayItem {
  readonly generation: 'legacy' | 'bound'
  readonly state: string
  readonly name: string
  readonly calldata: string
  readonly message?: string
  readonly isFinalized?: boolean
  readonly event?: EventVector
  readonly revert?: string
}

export interface SignItem {
  readonly generation: 'legacy' | 'bound'
  readonly name: string
  readonly calldata: string
  readonly accepted: boolean
  readonly revert?: string
  readonly event?: { readonly name: string; readonly thresholdReached: boolean }
}

export interface HubItem {
  readonly name: string
  readonly value: string
  readonly accepted: boolean
  readonly calldata?: string
  readonly revert?: string
  readonly event?: EventVector
}

export interface TreeVector {
  readonly leafCount: number
  readonly leaves: readonly string[]
  readonly root: string
  readonly message: string
  readonly relayCalldataBound: string
  readonly proofs: Readonly<
    Record<string, { readonly leaf: string; readonly proof: readonly string[] }>
  >
}

export interface RelayVectors {
  readonly chainId: number
  readonly selectors: Readonly<Record<string, string>>
  readonly topics: Readonly<Record<string, string>>
  readonly relayConfig: Readonly<Record<string, number>>
  readonly policies: { readonly items: readonly PolicyVector[] }
  readonly message: {
    readonly bound: {
      readonly message: string
      readonly pre: string
      readonly digest: string
      readonly signatures: readonly {
        readonly v: number
        readonly r: string
        readonly s: string
        readonly index: number
      }[]
    }
  }
  readonly relay: {
    readonly accepted: readonly RelayItem[]
    readonly refused: readonly RelayItem[]
  }
  readonly signNewSigningPolicy: { readonly items: readonly SignItem[] }
  readonly fdcHub: { readonly request: string; readonly items: readonly HubItem[] }
  readonly fdcVerification: {
    readonly round: number
    readonly trees: readonly TreeVector[]
    readonly refused: readonly {
      readonly name: string
      readonly root?: string
      readonly leaf?: string
      readonly proof?: readonly string[]
    }[]
    readonly alsoAccepted: readonly {
      readonly name: string
      readonly root?: string
      readonly leaf?: string
      readonly proof?: readonly string[]
    }[]
  }
}

/** What Flare's own contracts took and refused. */
export const vectors = JSON.parse(
  readFileSync(new URL('../vectors/relay.json', import.meta.url), 'utf8'),
) as RelayVectors

/** The part of formats.json about the anchor event and its attestation. */
export const formats = JSON.parse(
  readFileSync(new URL('../vectors/formats.json', import.meta.url), 'utf8'),
) as {
  readonly fdc: {
    readonly emptyInput: string
    readonly emptyInputLeaf: string
    readonly zeroByteInput: string
    readonly zeroByteInputLeaf: string
    readonly messageIntegrityCodeZeroByte: string
  }
}

export function policyVector(name: string): PolicyVector {
  const policy = vectors.policies.items.find((item) => item.name === name)
  if (policy === undefined) throw new Error(`no policy ${name}`)
  return policy
}

/** Reads a policy's fields out of its bytes: the vectors have the voters nowhere else. */
export function policyFields(bytes: string): SigningPolicy {
  const at = (start: number, end: number): number => Number(dataSlice(bytes, start, end))
  const voters = Array.from({ length: at(0, 2) }, (_, i) => {
    const start = 43 + 22 * i
    return { address: dataSlice(bytes, start, start + 20), weight: at(start + 20, start + 22) }
  })
  return {
    rewardEpochId: at(2, 5),
    startVotingRoundId: at(5, 9),
    threshold: at(9, 11),
    seed: BigInt(dataSlice(bytes, 11, 43)),
    voters,
  }
}

/** The address of a test key that the vectors name by its number. */
export function voterAddress(key: number): string {
  return computeAddress(new SigningKey(toBeHex(key, 32))).toLowerCase()
}
