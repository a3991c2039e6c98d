import type { z } from 'zod'
import type { Hash, Hex } from '../../domain/bytes.js'
import { assert, RetryableError } from '../../domain/errors.js'
import type { EntryKey, UsageTotal } from '../../domain/usage-total.js'
import type {
  ProviderCard,
  PublicDesk,
  PublishedPlan,
  Quote,
  VaultCard,
  VaultMoney,
} from '../../ports/desk.js'
import type { AppliedRecord } from '../../ports/settler.js'
import { column } from './arguments.js'
import { CadenceFiles } from './cadence.js'
import { FlowClient } from './client.js'
import { nodesOf } from './config.js'
import type { PublicDeskConfig } from './desk-config.js'
import * as view from './desk-parse.js'
import { array, type CadenceValue, int, uint } from './json-cadence.js'
import { modelsView, readCadence, recordsView, rootsView, streamView } from './parse.js'

/** A script may use 100000 computation units, and a vault takes about a hundred. */
const SCRIPT_ITEMS_MAX = 200
const PAGES_MAX = 10_000

/** Reads through the scripts in cadence/. */
export class FlowPublicDesk implements PublicDesk {
  readonly client: FlowClient
  readonly files: CadenceFiles

  constructor(config: PublicDeskConfig) {
    this.client = new FlowClient(nodesOf(config))
    this.files = new CadenceFiles(config)
  }

  async plan(
    id: bigint,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<PublishedPlan | undefined> {
    const args = [uint('UInt64', id)]
    return (await this.run('get_plan', args, view.publishedPlanView, signal, atHeight)) ?? undefined
  }

  models(provider: bigint, signal: AbortSignal, atHeight?: number): Promise<readonly string[]> {
    return this.run('get_models', [uint('UInt64', provider)], modelsView, signal, atHeight)
  }

  async provider(
    id: bigint,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<ProviderCard | undefined> {
    const args = [uint('UInt64', id)]
    return (
      (await this.run('get_provider', args, view.providerCardView, signal, atHeight)) ?? undefined
    )
  }

  async quote(
    plan: bigint,
    rows: readonly UsageTotal[],
    signal: AbortSignal,
  ): Promise<Quote | undefined> {
    const args = [
      uint('UInt64', plan),
      column(rows, 'UInt16', (row) => row.modelId),
      column(rows, 'UInt64', (row) => row.promptTokens),
      column(rows, 'UInt64', (row) => row.cachedPromptTokens),
      column(rows, 'UInt64', (row) => row.completionTokens),
      column(rows, 'UInt32', (row) => row.requests),
    ]
    return (await this.run('quote_price', args, view.quoteView, signal)) ?? undefined
  }

  async vaults(provider: bigint, signal: AbortSignal): Promise<readonly VaultCard[]> {
    const vaults: VaultCard[] = []
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const args = [uint('UInt64', provider), int(vaults.length), int(SCRIPT_ITEMS_MAX)]
      const more = await this.run('get_vaults', args, view.vaultCardsView, signal)
      vaults.push(...more)
      if (more.length < SCRIPT_ITEMS_MAX) return vaults
    }
    throw new RetryableError('settler_nonsense', 'the list of vaults does not end')
  }

  async meter(provider: bigint, signal: AbortSignal): Promise<Hex | undefined> {
    const args = [uint('UInt64', provider)]
    return (await this.run('get_stream', args, streamView, signal)).meter
  }

  async roots(
    provider: bigint,
    seqs: readonly bigint[],
    signal: AbortSignal,
  ): Promise<readonly (Hash | undefined)[]> {
    const roots: (Hash | undefined)[] = []
    for (let from = 0; from < seqs.length; from += SCRIPT_ITEMS_MAX) {
      const page = seqs.slice(from, from + SCRIPT_ITEMS_MAX)
      const args = [uint('UInt64', provider), array(page.map((seq) => uint('UInt64', seq)))]
      const found = await this.run('get_batches', args, rootsView, signal)
      if (found.length !== page.length) {
        throw new RetryableError('settler_nonsense', `${found.length} roots of ${page.length}`)
      }
      roots.push(...found.map((root) => root ?? undefined))
    }
    return roots
  }

  async applied(provider: bigint, key: EntryKey, signal: AbortSignal): Promise<AppliedRecord> {
    const { accountNumber, periodStart } = key
    const args = [
      uint('UInt64', provider),
      array([uint('UInt64', accountNumber)]),
      array([uint('UInt32', periodStart)]),
    ]
    const [record] = await this.run('get_records', args, recordsView, signal)
    assert(record !== undefined, 'get_records gives one record for each pair')
    return { accountNumber, periodStart, ...record }
  }

  async money(
    provider: bigint,
    account: bigint,
    signal: AbortSignal,
  ): Promise<VaultMoney | undefined> {
    const args = [uint('UInt64', provider), array([uint('UInt64', account)])]
    const [money] = await this.run('get_balances', args, view.vaultMoneyView, signal)
    return money ?? undefined
  }

  async run<T>(
    name: string,
    args: readonly CadenceValue[],
    shape: z.ZodType<T>,
    signal: AbortSignal,
    atHeight?: number,
  ): Promise<T> {
    const json = await this.client.script(this.files.script(name), args, signal, atHeight)
    return readCadence(json, shape, `the result of ${name}`)
  }
}
