import { assert, ConfigError, RetryableError } from '../../domain/errors.js'
import type { KeySigner } from '../../ports/key-signer.js'
import type { Call, Fate, Lane, SignedTx } from '../../ports/lane.js'
import type { CadenceFiles } from './cadence.js'
import { errorCode, reasonOf } from './cadence-error.js'
import type { AccountKey, FlowClient, TransactionResult } from './client.js'
import type { FlowConfig } from './config.js'
import type { CadenceValue } from './json-cadence.js'
import { checkKey, signerFor } from './signing.js'
import { COMPUTE_LIMIT, type KeptTransaction, keptOf, signTransaction } from './transaction.js'

/** The body of a `Call` of this adapter. */
export interface FlowCallBody {
  /** A file below cadence/transactions, without its ending: `anybody/settle_runs`. */
  readonly transaction: string
  readonly args: readonly CadenceValue[]
}

export interface FlowLaneParts {
  readonly client: FlowClient
  readonly files: CadenceFiles
  readonly keyIndex: number
  readonly signer: KeySigner
  readonly config: Pick<FlowConfig, 'network' | 'accountAddress' | 'transactionExpiryBlocks'>
}

/** Nodes differ in how far they are; a late block more costs nothing. */
const EXPIRY_MARGIN_BLOCKS = 30

/** The proposal key's sequence number was another one: it never ran, and took no fee. */
const WRONG_SEQUENCE_NUMBER = 1007

/** An account is out of storage (1103) or cannot pay the fee (1118): it says nothing of the call. */
const SHORTAGES: ReadonlySet<number> = new Set([1103, 1118])
/** With a worker's backoff of up to a minute, one try in about a quarter of an hour. */
const PAUSED_SIGNS = 20

/** One key of one account, which is proposer, payer and authorizer of all that goes this way. */
export class FlowLane implements Lane {
  readonly name: string
  readonly #parts: FlowLaneParts
  #lastRefusal: string | undefined
  #lastUse: number | undefined
  /** How often `sign` still says no after the chain ran short of something. */
  #pause = 0

  constructor(parts: FlowLaneParts) {
    const { network, accountAddress } = parts.config
    this.name = `flow/${network}/${accountAddress}/${parts.keyIndex}`
    this.#parts = parts
  }

  get lastRefusal(): string | undefined {
    return this.#lastRefusal
  }

  get lastUse(): number | undefined {
    return this.#lastUse
  }

  /**
   * @param keys of the account, by their indexes
   * @throws ConfigError where there is no such key, or it is not ours, revoked or too light
   */
  async check(keys: ReadonlyMap<number, AccountKey>, signal: AbortSignal): Promise<void> {
    const { keyIndex, config, signer } = this.#parts
    const name = `key ${keyIndex} of ${config.accountAddress}`
    const key = keys.get(keyIndex)
    if (key !== undefined) return void (await checkKey(signer, key, name, signal))
    const fix = 'Add keys with "flowmeter flow add-keys", or correct FLOW_KEY_INDEXES.'
    throw new ConfigError('flow_key_missing', `There is no ${name}. ${fix}`)
  }

  /** @throws ConfigError when the account's key is not ours, revoked or too light */
  async sign(call: Call, signal: AbortSignal): Promise<SignedTx> {
    const { client, files, keyIndex, config, signer } = this.#parts
    const { accountAddress: address } = config
    const body = call.body as FlowCallBody
    if (this.#pause > 0) {
      this.#pause -= 1
      const fix = `Top up ${address} and the account of the contracts with FLOW.`
      throw new RetryableError('flow_account_short', `${this.#lastRefusal}. ${fix}`)
    }
    assert(typeof body?.transaction === 'string', `not a call of Flow: ${call.what}`)
    // A sealed reference could be expired on arrival when sealing lags; the number has to be sealed.
    const [reference, key] = await Promise.all([
      client.finalBlock(signal),
      client.accountKey(address, keyIndex, signal),
    ])
    return signTransaction({
      cadence: files.transaction(body.transaction),
      args: body.args,
      reference,
      address,
      keyIndex,
      sequenceNumber: key.sequenceNumber,
      sign: await signerFor(signer, key, `key ${keyIndex} of ${address}`, signal),
    })
  }

  async send(tx: SignedTx, signal: AbortSignal): Promise<void> {
    // An expired one may have landed before: only its fate can say.
    await this.#parts.client.submit(keptOf(tx).body, tx.id, signal)
  }

  /**
   * A result is believed only where it is sealed. Without one, (account, key, sequence number) is a
   * nonce that can be used once: where sealed state is past it, or past the transaction's expiry,
   * the transaction can land no more. Whether another with its effect landed (anybody can alter a
   * signature without breaking it, and so the id) only the contracts know.
   */
  async fate(tx: SignedTx, signal: AbortSignal): Promise<Fate> {
    const { client, config } = this.#parts
    const result = await client.transactionResult(tx.id, signal)
    if (result.status === 'sealed') return this.#sealedFate(result)

    const kept = keptOf(tx)
    const height = await client.sealedHeight(signal)
    const isConsumed = (await this.#sequenceNumberAt(kept, height, signal)) > kept.sequenceNumber
    const expiresAt = kept.refHeight + config.transactionExpiryBlocks + EXPIRY_MARGIN_BLOCKS
    if (!isConsumed && height < expiresAt) return 'open'

    // It may have been sealed between the two questions.
    const last = await client.transactionResult(tx.id, signal)
    return last.status === 'sealed' ? this.#sealedFate(last) : 'gone'
  }

  #sealedFate({ error, computation }: TransactionResult & { status: 'sealed' }): Fate {
    this.#lastUse = computation === undefined ? undefined : computation / COMPUTE_LIMIT
    if (error === undefined) return 'landed'
    if (errorCode(error) === WRONG_SEQUENCE_NUMBER) return 'gone'
    this.#lastRefusal = reasonOf(error)
    if (!SHORTAGES.has(errorCode(error) ?? 0)) return 'refused'
    // Not the call's fault: it will be taken once somebody tops up, and each try costs its fee.
    this.#pause = PAUSED_SIGNS
    return 'gone'
  }

  async #sequenceNumberAt(
    { body, keyIndex }: KeptTransaction,
    height: number,
    signal: AbortSignal,
  ): Promise<bigint> {
    const { address } = body.proposal_key
    return (await this.#parts.client.accountKey(address, keyIndex, signal, height)).sequenceNumber
  }
}
