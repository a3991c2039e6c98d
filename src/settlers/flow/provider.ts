import type { Hash, Hex } from '../../domain/bytes.js'
import { assert, TerminalError } from '../../domain/errors.js'
import type { Ufix64Units, Wad } from '../../domain/money.js'
import type {
  Approval,
  Correction,
  Done,
  Gift,
  ProviderDesk,
  TokenPlace,
} from '../../ports/desk.js'
import type { PlanTerms } from '../../pricing/plan.js'
import { address, column, optional, ufix64 } from './arguments.js'
import type { Script } from './cadence.js'
import { type PersonDeskConfig, providerSettings } from './desk-config.js'
import * as view from './desk-parse.js'
import { Errands, type ErrandsParts } from './errand.js'
import { array, type CadenceValue, string, uint } from './json-cadence.js'
import { readCadence, recordsView } from './parse.js'
import { FlowPublicDesk } from './public-desk.js'

export type Telling = Pick<ErrandsParts, 'tell' | 'sequenceNumber'>

/** One batch at most is sealed and not accepted yet. */
const ON_ITS_WAY = 1n

/** What a provider does, with the provider's own key. */
export class FlowProviderDesk extends FlowPublicDesk implements ProviderDesk {
  readonly #config: PersonDeskConfig
  readonly #errands: Errands

  constructor(config: PersonDeskConfig, telling: Telling) {
    super(config)
    this.#config = config
    const { accountAddress, privateKey, keyIndex } = providerSettings
    const variables = { address: accountAddress.env, key: privateKey.env, keyIndex: keyIndex.env }
    const { client, files } = this
    this.#errands = new Errands({ client, files, config, variables, ...telling })
  }

  ownId(signal: AbortSignal, atHeight?: number): Promise<bigint | undefined> {
    return this.#idOf(this.#config.accountAddress, signal, atHeight)
  }

  async #idOf(
    accountAddress: string,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<bigint | undefined> {
    const { contractsAddress } = this.#config
    const args = [address(accountAddress)]
    const found = await this.client.script(ownIdScript(contractsAddress), args, signal, atHeight)
    return readCadence(found, view.ownIdView, 'the provider of an account') ?? undefined
  }

  setUp(signal: AbortSignal): Promise<Done> {
    return this.#errands.run(
      {
        what: 'become a provider',
        transaction: 'provider/set_up_provider',
        args: [],
        isDone: async (height, same) => (await this.ownId(same, height)) !== undefined,
      },
      signal,
    )
  }

  async registerModels(
    names: readonly string[],
    signal: AbortSignal,
    owner?: string,
  ): Promise<Done> {
    const provider = await this.#own(signal, owner)
    const models = array(names.map(string))
    return this.#errands.run(
      {
        what: `register ${names.length} models`,
        ...(owner === undefined
          ? { transaction: 'provider/register_models', args: [models] }
          : { transaction: 'delegate/register_models', args: [address(owner), models] }),
        isDone: async (height, same) => {
          const table = new Set(await this.models(provider, same, height))
          return names.every((name) => table.has(name))
        },
      },
      signal,
    )
  }

  async shareModels(delegate: string, signal: AbortSignal): Promise<Done> {
    await this.#own(signal)
    const transaction = 'provider/share_model_registration'
    const what = `let ${delegate} register models`
    return this.#errands.run({ what, transaction, args: [address(delegate)] }, signal)
  }

  async revokeModels(signal: AbortSignal): Promise<Done> {
    await this.#own(signal)
    const transaction = 'provider/revoke_model_registration'
    const what = 'let nobody else register models'
    return this.#errands.run({ what, transaction, args: [] }, signal)
  }

  claimModels(owner: string, signal: AbortSignal): Promise<Done> {
    const transaction = 'delegate/claim_model_registration'
    const what = `take what ${owner} offered`
    return this.#errands.run({ what, transaction, args: [address(owner)] }, signal)
  }

  async publish(
    terms: PlanTerms,
    hash: Hash,
    signal: AbortSignal,
  ): Promise<Done & { readonly id: bigint }> {
    const own = await this.#own(signal)
    const done = await this.#errands.run(
      {
        what: 'publish the plan',
        transaction: 'provider/publish_plan',
        args: planArguments(terms),
        isDone: async (height, same) =>
          (await this.#planWith(own, hash, same, height)) !== undefined,
      },
      signal,
    )
    const id = await this.#planWith(own, hash, signal)
    assert(id !== undefined, `the plan was published, and has another hash than ${hash}`)
    return { ...done, id }
  }

  retirePlan(id: bigint, signal: AbortSignal): Promise<Done> {
    return this.#errands.run(
      {
        what: `retire plan ${id}`,
        transaction: 'provider/retire_plan',
        args: [uint('UInt64', id)],
        isDone: async (height, same) => (await this.plan(id, same, height))?.isRetired === true,
      },
      signal,
    )
  }

  async setMeter(meter: Hex, signal: AbortSignal): Promise<Done> {
    const own = await this.#own(signal)
    const args = [uint('UInt64', own)]
    return this.#errands.run(
      {
        what: `set the meter ${meter}`,
        transaction: 'provider/set_meter',
        args: [string(meter)],
        isDone: async (height, same) =>
          (await this.run('get_stream', args, view.meterView, same, height))?.meter ===
          meter.slice(2),
      },
      signal,
    )
  }

  /** To reserve a number again changes nothing, but for another holder. */
  reserve(account: bigint, holder: string, signal: AbortSignal): Promise<Done> {
    const args = [uint('UInt64', account), address(holder)]
    const transaction = 'provider/reserve_account_number'
    return this.#errands.run({ what: `reserve account ${account}`, transaction, args }, signal)
  }

  async correct(correction: Correction, signal: AbortSignal): Promise<Done> {
    const own = await this.#own(signal)
    const { account, periodStart, billable, afterSeq, reason } = correction
    await this.#checkAfterSeq(own, afterSeq, signal)
    const [number, start] = [uint('UInt64', account), uint('UInt32', periodStart)]
    return this.#errands.run(
      {
        what: `correct account ${account}`,
        transaction: 'provider/correct_usage',
        args: [
          ...[number, start, uint('UInt128', billable)],
          ...[uint('UInt64', afterSeq), string(reason)],
        ],
        isDone: async (height, same) => {
          const ownNumber = uint('UInt64', own)
          const args = [ownNumber, array([number]), array([start])]
          const [record] = await this.run('get_records', args, recordsView, same, height)
          const meter = await this.run('get_stream', [ownNumber], view.meterView, same, height)
          const isOfThisMeter = record !== undefined && record.meterEpoch === meter?.meterEpoch
          return isOfThisMeter && record.billable === billable && record.lastSeq >= afterSeq
        },
      },
      signal,
    )
  }

  approve({ account, periodStart, chargedUpTo }: Approval, signal: AbortSignal): Promise<Done> {
    const period = uint('UInt32', periodStart)
    const args = [uint('UInt64', account), period, uint('UInt128', chargedUpTo)]
    const transaction = 'provider/approve_charge'
    return this.#errands.run({ what: `approve account ${account}`, transaction, args }, signal)
  }

  setMaxCharge(limit: Wad | null, signal: AbortSignal): Promise<Done> {
    const args = [optional(limit === null ? undefined : uint('UInt128', limit))]
    const transaction = 'provider/set_max_charge'
    return this.#errands.run({ what: 'set the greatest charge', transaction, args }, signal)
  }

  credit({ account, amount, reason, at }: Gift, signal: AbortSignal): Promise<Done> {
    const tokens = [ufix64(amount), string(at?.storage ?? 'flowTokenVault')]
    const args = [uint('UInt64', account), ...tokens, string(reason)]
    const transaction = 'provider/credit_vault'
    return this.#errands.run({ what: `credit account ${account}`, transaction, args }, signal)
  }

  close(account: bigint, signal: AbortSignal): Promise<Done> {
    const args = [uint('UInt64', account)]
    const transaction = 'provider/close_vault'
    return this.#errands.run({ what: `close account ${account}`, transaction, args }, signal)
  }

  collect(
    currency: string,
    amount: Ufix64Units,
    signal: AbortSignal,
    at?: TokenPlace,
  ): Promise<Done> {
    const place = at === undefined ? [] : [string(at.storage)]
    const args = [string(currency), ufix64(amount), ...place]
    const verb = at === undefined ? 'collect_earnings' : 'collect_token_earnings'
    const transaction = `provider/${verb}`
    return this.#errands.run({ what: 'collect earnings', transaction, args }, signal)
  }

  /** Batches up to the number would never count: of ones that are not sealed yet, nobody means that. */
  async #checkAfterSeq(own: bigint, afterSeq: bigint, signal: AbortSignal): Promise<void> {
    const stream = await this.run('get_stream', [uint('UInt64', own)], view.meterView, signal)
    const highest = stream?.highestSeq ?? 0n
    if (afterSeq <= highest + ON_ITS_WAY) return
    throw new TerminalError(
      'after_seq_ahead',
      `--after-seq ${afterSeq}: the newest batch that Flow has accepted is ${highest}, and ones up to ` +
        `${afterSeq} would not count for this period. Give the number that flowmeter correct printed; ` +
        'if it is right, wait until that batch is accepted.',
    )
  }

  /** @param owner another provider's address */
  async #own(signal: AbortSignal, owner?: string): Promise<bigint> {
    const who = owner ?? this.#config.accountAddress
    const own = await this.#idOf(who, signal)
    if (own !== undefined) return own
    const fix = owner === undefined ? ' Run flowmeter provider set-up first.' : ''
    throw new TerminalError('no_provider', `${who} is no provider.${fix}`)
  }

  /** The newest first: it is most often the one. */
  async #planWith(
    own: bigint,
    hash: Hash,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<bigint | undefined> {
    const plans = (await this.provider(own, signal, atHeight))?.plans ?? []
    for (const id of plans.toReversed()) {
      const plan = await this.plan(id, signal, atHeight)
      if (plan?.hash === hash && !plan.isRetired) return id
    }
    return undefined
  }
}

/** Parameters as in cadence/transactions/provider/publish_plan.cdc. */
export function planArguments(terms: PlanTerms): CadenceValue[] {
  const { currency, mode, periodKind, minimum, fee, noticeS, tiers } = terms
  const rates = [...terms.rates].toSorted(([a], [b]) => a - b)
  return [
    ...[currency, mode, periodKind].map(string),
    ...[minimum, fee].map((money) => uint('UInt128', money)),
    uint('UInt32', noticeS),
    array(tiers.map(({ upTo }) => optional(upTo === null ? undefined : uint('UInt64', upTo)))),
    column(tiers, 'UInt64', ({ pricePerMillion }) => pricePerMillion),
    column(tiers, 'UInt16', ({ discountBps }) => discountBps),
    column(rates, 'UInt16', ([id]) => id),
    column(rates, 'UInt32', ([, { prompt }]) => prompt),
    column(rates, 'UInt32', ([, { cachedPrompt }]) => cachedPrompt),
    column(rates, 'UInt32', ([, { completion }]) => completion),
    column(rates, 'UInt32', ([, { request }]) => request),
  ]
}

/** A provider's number is in the resource in its account, which a script may look at. */
function ownIdScript(contractsAddress: string): Script {
  return {
    name: 'get_own_provider',
    source: `
      import SubscriptionVaults from ${contractsAddress}

      access(all) fun main(address: Address): UInt64? {
          return getAuthAccount<auth(BorrowValue) &Account>(address).storage
              .borrow<&SubscriptionVaults.Provider>(from: SubscriptionVaults.ProviderPath)?.id
      }
    `,
  }
}
