import { array, type CadenceValue, type Plain, uint } from './flow/cadence-json.js'
import { runFile } from './flow/deploy.js'
import type { Devnet, DevnetVault } from './index.js'
import type { UsageTruth } from './litellm/table.js'
import { expectedCharge } from './price.js'

/** What one vault should be charged, and what Flow says of it. Money in wad. */
export interface VaultReckoning {
  readonly id: bigint
  readonly user: string
  /** By the model's public name: prompt and completion. */
  readonly tokens: Readonly<Record<string, bigint>>
  readonly charged: bigint
  /** From LiteLLM's rows and the plan alone, without contract or daemon. */
  readonly expected: bigint
  readonly paid: bigint
  readonly owed: bigint
}

export interface Reckoning {
  /** All that LiteLLM shows, billable or not. */
  readonly rows: number
  /** Billable rows of users with a vault. */
  readonly billableRows: number
  readonly vaults: readonly VaultReckoning[]
  /** Differences: every one must be 0. */
  readonly checks: Readonly<Record<string, bigint>>
}

/** Reads LiteLLM's table and Flow's state, and compares them. Nothing of the daemon is used. */
export async function reckon(network: Devnet): Promise<Reckoning> {
  const { litellm } = network
  if (litellm === undefined) throw new Error('there is no LiteLLM to reckon with')
  const truth = litellm.truth()
  const vaults: VaultReckoning[] = []
  for (const vault of network.vaults) vaults.push(await reckonVault(vault, truth, network))
  const users = new Set(network.vaults.map(({ user }) => user))
  const billable = truth.filter(({ user }) => users.has(user))
  return {
    rows: await countRows(litellm.url, litellm.viewerKey, litellm.nowMs()),
    billableRows: Number(billable.reduce((sum, { requests }) => sum + requests, 0n)),
    vaults,
    checks: {
      charged_vs_expected: sum(vaults, ({ charged, expected }) => magnitude(charged - expected)),
      charged_vs_paid_and_owed: sum(vaults, ({ charged, paid, owed }) =>
        magnitude(charged - paid - owed),
      ),
      pool: await poolDifference(network),
    },
  }
}

async function reckonVault(
  { user, number }: DevnetVault,
  truth: readonly UsageTruth[],
  { flow }: Devnet,
): Promise<VaultReckoning> {
  const usage = truth.filter((row) => row.user === user)
  const ids: CadenceValue[] = [uint('UInt64', flow.provider.id), array([uint('UInt64', number)])]
  const [balances] = listOf(await runFile(flow.client, 'get_balances', ids))
  const wad = (field: string): bigint => bigintOf(fieldOf(balances, field))
  return {
    id: number,
    user,
    tokens: Object.fromEntries(
      usage.map((row) => [row.model, row.promptTokens + row.completionTokens]),
    ),
    charged: wad('charged'),
    expected: expectedCharge(usage),
    paid: wad('paid'),
    owed: wad('owed'),
  }
}

/** Tokens in the pools that no vault and no provider owns, or the other way round. */
async function poolDifference({ flow }: Devnet): Promise<bigint> {
  const noPage = [uint('UInt64', flow.provider.id), uint('Int', 0), uint('Int', 0)]
  const books = await runFile(flow.client, 'get_conservation', noPage)
  const pools = listOf(fieldOf(books, 'pools'))
  return sum(pools, (pool) =>
    magnitude(bigintOf(fieldOf(pool, 'balance')) - bigintOf(fieldOf(pool, 'accounted'))),
  )
}

async function countRows(url: string, key: string, nowMs: number): Promise<number> {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
  const query = new URLSearchParams({
    start_date: day(nowMs - 40 * 86_400_000),
    end_date: day(nowMs + 86_400_000),
    page_size: '1',
  })
  const answer = await fetch(`${url}/spend/logs/v2?${query}`, {
    headers: { authorization: `Bearer ${key}` },
  })
  const { total } = (await answer.json()) as { total: number }
  return total
}

function listOf(value: Plain): readonly Plain[] {
  if (!Array.isArray(value)) throw new Error('the script should have given a list')
  return value
}

function fieldOf(value: Plain | undefined, field: string): Plain {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`the script should have given something with ${field}`)
  }
  return (value as Readonly<Record<string, Plain>>)[field] ?? null
}

function bigintOf(value: Plain): bigint {
  if (typeof value !== 'bigint') throw new Error(`not a number: ${String(value)}`)
  return value
}

function sum<Item>(items: readonly Item[], of: (item: Item) => bigint): bigint {
  return items.reduce((total, item) => total + of(item), 0n)
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}
