import { RetryableError } from '../../domain/errors.js'
import type { CustomerDesk, DepositOrder, Done, VaultChange, VaultOrder } from '../../ports/desk.js'
import { optional, ufix64 } from './arguments.js'
import { customerSettings, type PersonDeskConfig } from './desk-config.js'
import { Errands } from './errand.js'
import { string, uint } from './json-cadence.js'
import type { Telling } from './provider.js'
import { FlowPublicDesk } from './public-desk.js'
import { changeTransaction } from './vault-change.js'

/** What a customer does, with the customer's own key. */
export class FlowCustomerDesk extends FlowPublicDesk implements CustomerDesk {
  readonly address: string
  readonly #config: PersonDeskConfig
  readonly #errands: Errands

  constructor(config: PersonDeskConfig, telling: Telling) {
    super(config)
    this.#config = config
    this.address = config.accountAddress
    const { accountAddress, privateKey, keyIndex } = customerSettings
    const variables = { address: accountAddress.env, key: privateKey.env, keyIndex: keyIndex.env }
    const { client, files } = this
    this.#errands = new Errands({ client, files, config, variables, ...telling })
  }

  async open(order: VaultOrder, signal: AbortSignal): Promise<Done & { readonly account: bigint }> {
    const { provider, plan, account, deposit, at } = order
    const args = [
      ...[provider, plan].map((number) => uint('UInt64', number)),
      optional(account === undefined ? undefined : uint('UInt64', account)),
      ufix64(deposit),
      ...(at === undefined ? [] : [at.storage, at.receiver ?? '']).map(string),
    ]
    const transaction = at === undefined ? 'customer/open_vault' : 'customer/open_token_vault'
    const done = await this.#errands.run({ what: 'open a vault', transaction, args }, signal)
    return { ...done, account: account ?? (await this.#opened(done, signal)) }
  }

  deposit({ provider, account, amount, at }: DepositOrder, signal: AbortSignal): Promise<Done> {
    const args = [
      ...[provider, account].map((number) => uint('UInt64', number)),
      ufix64(amount),
      ...(at === undefined ? [] : [string(at.storage)]),
    ]
    const what = `deposit into vault ${account}`
    const transaction = at === undefined ? 'anybody/deposit' : 'anybody/deposit_token'
    return this.#errands.run({ what, transaction, args }, signal)
  }

  change(
    provider: bigint,
    account: bigint,
    change: VaultChange,
    signal: AbortSignal,
  ): Promise<Done> {
    const { transaction, rest } = changeTransaction(change)
    const ids = [provider, account].map((number) => uint('UInt64', number))
    const what = `${change.kind.replaceAll('_', ' ')} of vault ${account}`
    return this.#errands.run({ what, transaction, args: [...ids, ...rest] }, signal)
  }

  async #opened({ txId = '' }: Done, signal: AbortSignal): Promise<bigint> {
    const type = `A.${this.#config.contractsAddress.slice(2)}.SubscriptionVaults.VaultOpened`
    const account = (await this.#errands.event(txId, type, signal))?.account
    if (typeof account === 'bigint') return account
    const message = `transaction ${txId} opened a vault; the node does not show its event yet`
    throw new RetryableError('settler_nonsense', message)
  }
}
