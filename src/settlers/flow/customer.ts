import { RetryableError } from '../../domain/errors.js'
import type { Ufix64Units } from '../../domain/money.js'
import type { CustomerDesk, Done, VaultChange, VaultOrder } from '../../ports/desk.js'
import { optional, ufix64 } from './arguments.js'
import { customerSettings, type PersonDeskConfig } from './desk-config.js'
import { Errands } from './errand.js'
import { uint } from './json-cadence.js'
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
    const { provider, plan, account, deposit } = order
    const args = [
      ...[provider, plan].map((number) => uint('UInt64', number)),
      optional(account === undefined ? undefined : uint('UInt64', account)),
      ufix64(deposit),
    ]
    const transaction = 'customer/open_vault'
    const done = await this.#errands.run({ what: 'open a vault', transaction, args }, signal)
    return { ...done, account: account ?? (await this.#opened(done, signal)) }
  }

  deposit(
    provider: bigint,
    account: bigint,
    amount: Ufix64Units,
    signal: AbortSignal,
  ): Promise<Done> {
    const args = [...[provider, account].map((number) => uint('UInt64', number)), ufix64(amount)]
    const what = `deposit into vault ${account}`
    return this.#errands.run({ what, transaction: 'anybody/deposit', args }, signal)
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
