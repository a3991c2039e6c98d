import {
  arg,
  args,
  authorizations,
  build,
  limit,
  payer,
  proposer,
  ref,
  serialize,
  transaction,
  type Voucher,
  voucherToTxId,
} from '@onflow/fcl'
import { z } from 'zod'
import type { SignedTx, TxId } from '../../ports/lane.js'
import type { Block } from './client.js'
import type { CadenceValue } from './json-cadence.js'
import type { SignHex } from './signing.js'

/** Computation units that one transaction may use at most, on any network; what it pays is what it used. */
export const COMPUTE_LIMIT = 9999

export interface Draft {
  readonly cadence: string
  readonly args: readonly CadenceValue[]
  /** It can land from here on, until the expiry. */
  readonly reference: Block
  /** `0x` and 16 hex digits. Proposer, payer and authorizer. */
  readonly address: string
  readonly keyIndex: number
  readonly sequenceNumber: bigint
  readonly sign: SignHex
}

/** What is kept of a signed transaction: enough to send it and to find out its fate. */
const keptTransaction = z.strictObject({
  /** The body of POST /v1/transactions. */
  body: z.looseObject({ proposal_key: z.looseObject({ address: z.string() }) }),
  refHeight: z.int(),
  keyIndex: z.int(),
  sequenceNumber: z.string().transform(BigInt),
})

export type KeptTransaction = z.infer<typeof keptTransaction>

/** Builds and signs with fcl, which is given all it could ask a node for. */
export async function signTransaction(draft: Draft): Promise<SignedTx> {
  const { address, keyIndex, sequenceNumber } = draft
  const authorization = (account: object): object => ({
    ...account,
    tempId: `${address}-${keyIndex}`,
    addr: address.replace(/^0x/, ''),
    keyId: keyIndex,
    sequenceNum: Number(sequenceNumber),
    signingFunction: async ({ message }: { message: string }) => ({
      addr: address,
      keyId: keyIndex,
      signature: await draft.sign(message),
    }),
  })
  const interaction = await build([
    transaction(draft.cadence),
    args(draft.args.map((value) => arg(value, { asArgument: (same) => same }))),
    ref(draft.reference.id),
    limit(COMPUTE_LIMIT),
    proposer(authorization),
    payer(authorization),
    authorizations([authorization]),
  ])
  const voucher = JSON.parse(await serialize(interaction)) as Voucher
  const kept = {
    body: bodyOf(voucher),
    refHeight: draft.reference.height,
    keyIndex,
    sequenceNumber: sequenceNumber.toString(),
  }
  return { id: voucherToTxId(voucher) as TxId, bytes: JSON.stringify(kept) }
}

/** @throws Error where the text is not of `signTransaction` */
export function keptOf(tx: SignedTx): KeptTransaction {
  return keptTransaction.parse(JSON.parse(tx.bytes))
}

function bodyOf(voucher: Voucher): object {
  return {
    script: base64(voucher.cadence),
    arguments: voucher.arguments.map((argument) => base64(JSON.stringify(argument))),
    reference_block_id: voucher.refBlock,
    gas_limit: voucher.computeLimit.toString(),
    payer: bare(voucher.payer),
    proposal_key: {
      address: bare(voucher.proposalKey.address),
      key_index: voucher.proposalKey.keyId.toString(),
      sequence_number: voucher.proposalKey.sequenceNum.toString(),
    },
    authorizers: voucher.authorizers.map(bare),
    payload_signatures: voucher.payloadSigs.map(signatureOf),
    envelope_signatures: voucher.envelopeSigs.map(signatureOf),
  }
}

function signatureOf({ address, keyId, sig }: Voucher['envelopeSigs'][number]): object {
  const signature = Buffer.from(sig, 'hex').toString('base64')
  return { address: bare(address), key_index: keyId.toString(), signature }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function bare(address: string): string {
  return address.replace(/^0x/, '')
}
