import {
  type CadenceValue,
  optional,
  type Plain,
  string,
  uint,
} from '../../devnet/flow/cadence-json.js'
import type { FlowClient } from '../../devnet/flow/client.js'
import { runFile, sendFile } from '../../devnet/flow/deploy.js'
import type { TransactionResult } from '../../devnet/flow/results.js'
import { cadenceSource } from '../../devnet/flow/sources.js'
import type { Signer } from '../../devnet/flow/transaction.js'
import { CHAIN_ID, ROUNDS_PER_EPOCH, type World } from './world.js'

export interface LightClientParts {
  /** The bytes of the policy that it starts from, hex without 0x. */
  readonly checkpoint: string
  readonly epochsKept?: number
  readonly boundMessageFromRound?: number
  readonly boundPolicyFromEpoch?: number
}

/** A light client in an account of its own, beside the others of a world. */
export interface LightClient {
  readonly client: FlowClient
  readonly account: Signer
  /** Sends a file of `cadence/transactions`. @throws Error when its body fails. */
  send(name: string, args: readonly CadenceValue[]): Promise<TransactionResult>
  /** Sends one that must fail, and returns why. */
  refused(name: string, args: readonly CadenceValue[]): Promise<string>
  run(name: string, args?: readonly CadenceValue[]): Promise<Plain>
}

export async function deployLightClient(
  world: World,
  { checkpoint, epochsKept = 3, ...boundaries }: LightClientParts,
): Promise<LightClient> {
  const account = await world.client.createAccount({ fundFlow: '10.0' })
  const client = world.client.with({ imports: { FlareLightClient: account.address } })
  const { boundMessageFromRound, boundPolicyFromEpoch } = boundaries
  const boundary = (value: number | undefined): CadenceValue =>
    optional(value === undefined ? null : uint('UInt32', value))
  const args = [
    string(cadenceSource('contracts/FlareLightClient')),
    uint('UInt64', CHAIN_ID),
    string(checkpoint),
    ...[0, ROUNDS_PER_EPOCH, epochsKept].map((value) => uint('UInt32', value)),
    { type: 'UFix64', value: '0.0' },
    boundary(boundMessageFromRound),
    boundary(boundPolicyFromEpoch),
  ]
  await sendFile(client, 'governor/deploy_light_client', args, account)
  return {
    client,
    account,
    send: (name, sent) => sendFile(client, name, sent, account),
    async refused(name, sent) {
      const cadence = cadenceSource(`transactions/${name}`)
      const { error } = await client.send({ cadence, args: sent, signers: [account] })
      if (error === null) throw new Error(`${name} was not refused`)
      return error
    },
    run: (name, sent = []) => runFile(client, name, sent),
  }
}
