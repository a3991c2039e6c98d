import { p256 } from '@noble/curves/nist.js'
import { sha3_256 } from '@noble/hashes/sha3.js'

/**
 * A Flow transaction: its bytes, its signatures and its id.
 *
 * Payload = RLP([script, [arguments], referenceBlockId, computeLimit, proposer address, proposer
 * key index, proposer sequence number, payer, [authorizers]]). Whoever is not the payer signs it;
 * the payer signs RLP([payload, payload signatures]). A signature is over SHA3-256 of the domain
 * tag and those bytes; in the transaction it is [signer index, key index, r‖s]. The id is SHA3-256
 * of RLP([payload, payload signatures, envelope signatures]), so it covers the signatures.
 */

/** One key of one account. `address` is `0x` and 16 hex digits. */
export interface Signer {
  readonly address: string
  readonly keyIndex: number
  /** ECDSA_P256, 32 bytes. */
  readonly privateKey: Uint8Array
}

export interface Draft {
  readonly script: string
  /** JSON-Cadence, one text per argument. */
  readonly args: readonly string[]
  readonly computeLimit: number
  /** 32 bytes in hex. */
  readonly referenceBlockId: string
  readonly proposer: Signer
  readonly sequenceNumber: bigint
  readonly payer: Signer
  readonly authorizers: readonly Signer[]
}

export interface KeySignature {
  readonly signer: Signer
  readonly signerIndex: number
  /** r‖s, 64 bytes. */
  readonly signature: Uint8Array
}

export interface SignedTransaction {
  readonly id: string
  readonly draft: Draft
  readonly payloadSignatures: readonly KeySignature[]
  readonly envelopeSignatures: readonly KeySignature[]
  /** Of all of it: Flow takes 1,500,000. */
  readonly bytes: number
}

/** "FLOW-V0.0-transaction", filled with zero bytes to 32. */
const DOMAIN_TAG = Buffer.from('FLOW-V0.0-transaction'.padEnd(32, '\0'))

/** Signs for every account that takes part. Deterministic: the same draft gives the same id. */
export function signTransaction(draft: Draft): SignedTransaction {
  const payload = payloadOf(draft)
  const order = signerOrder(draft)
  const sign = (signer: Signer, message: Uint8Array): KeySignature => ({
    signer,
    signerIndex: order.indexOf(signer.address),
    signature: signMessage(signer.privateKey, message),
  })
  const others = distinctKeys([draft.proposer, ...draft.authorizers]).filter(
    (signer) => signer.address !== draft.payer.address,
  )
  const payloadSignatures = others
    .map((signer) => sign(signer, rlp(payload)))
    .sort((a, b) => a.signerIndex - b.signerIndex || a.signer.keyIndex - b.signer.keyIndex)

  // A payer who proposes with another of its keys signs the envelope with both.
  const payers = distinctKeys([draft.payer, draft.proposer]).filter(
    (signer) => signer.address === draft.payer.address,
  )
  const envelope = [payload, payloadSignatures.map(signatureFields)]
  const envelopeSignatures = payers
    .map((signer) => sign(signer, rlp(envelope)))
    .sort((a, b) => a.signer.keyIndex - b.signer.keyIndex)

  const all = rlp([...envelope, envelopeSignatures.map(signatureFields)])
  const id = Buffer.from(sha3_256(all)).toString('hex')
  return { id, draft, payloadSignatures, envelopeSignatures, bytes: all.length }
}

/** The body of `POST /v1/transactions`. */
export function transactionBody(tx: SignedTransaction): Record<string, unknown> {
  const { draft } = tx
  return {
    script: base64(draft.script),
    arguments: draft.args.map(base64),
    reference_block_id: draft.referenceBlockId,
    gas_limit: String(draft.computeLimit),
    payer: bare(draft.payer.address),
    proposal_key: {
      address: bare(draft.proposer.address),
      key_index: String(draft.proposer.keyIndex),
      sequence_number: String(draft.sequenceNumber),
    },
    authorizers: draft.authorizers.map(({ address }) => bare(address)),
    payload_signatures: tx.payloadSignatures.map(signatureBody),
    envelope_signatures: tx.envelopeSignatures.map(signatureBody),
  }
}

/** The public key as Flow writes it: x‖y, 64 bytes in hex. */
export function publicKeyOf(privateKey: Uint8Array): string {
  const uncompressed = p256.getPublicKey(privateKey, false)
  return Buffer.from(uncompressed.subarray(1)).toString('hex')
}

export function newPrivateKey(): Uint8Array {
  return p256.utils.randomSecretKey()
}

function signMessage(privateKey: Uint8Array, message: Uint8Array): Uint8Array {
  const digest = sha3_256(Buffer.concat([DOMAIN_TAG, message]))
  return p256.sign(digest, privateKey, { prehash: false, lowS: false })
}

function payloadOf(draft: Draft): Rlp[] {
  return [
    Buffer.from(draft.script),
    draft.args.map((arg) => Buffer.from(arg)),
    Buffer.from(draft.referenceBlockId, 'hex'),
    integer(draft.computeLimit),
    addressBytes(draft.proposer.address),
    integer(draft.proposer.keyIndex),
    integer(draft.sequenceNumber),
    addressBytes(draft.payer.address),
    draft.authorizers.map(({ address }) => addressBytes(address)),
  ]
}

/** The order in which a transaction numbers its signers: proposer, payer, authorizers. */
function signerOrder(draft: Draft): string[] {
  return [...new Set([draft.proposer, draft.payer, ...draft.authorizers].map((s) => s.address))]
}

function distinctKeys(signers: readonly Signer[]): Signer[] {
  const byKey = new Map(signers.map((signer) => [`${signer.address}/${signer.keyIndex}`, signer]))
  return [...byKey.values()]
}

function signatureFields({ signerIndex, signer, signature }: KeySignature): Rlp[] {
  return [integer(signerIndex), integer(signer.keyIndex), signature]
}

function signatureBody({ signer, signature }: KeySignature): Record<string, string> {
  return {
    address: bare(signer.address),
    key_index: String(signer.keyIndex),
    signature: Buffer.from(signature).toString('base64'),
  }
}

type Rlp = Uint8Array | readonly Rlp[]

/** Recursive Length Prefix, as in Ethereum. */
function rlp(item: Rlp): Uint8Array {
  if (item instanceof Uint8Array) {
    const [first = 0] = item
    if (item.length === 1 && first < 0x80) return item
    return Buffer.concat([lengthPrefix(item.length, 0x80), item])
  }
  const body = Buffer.concat(item.map(rlp))
  return Buffer.concat([lengthPrefix(body.length, 0xc0), body])
}

function lengthPrefix(length: number, offset: number): Uint8Array {
  if (length < 56) return Uint8Array.of(offset + length)
  const size = integer(length)
  return Uint8Array.of(offset + 55 + size.length, ...size)
}

/** Big-endian without leading zeros; zero is no bytes at all. */
function integer(value: number | bigint): Uint8Array {
  if (BigInt(value) === 0n) return new Uint8Array()
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}

function addressBytes(address: string): Uint8Array {
  return Buffer.from(bare(address).padStart(16, '0'), 'hex')
}

function bare(address: string): string {
  return address.replace(/^0x/, '')
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
