import { formatWad, wad } from '../domain/money.js'
import { percent } from '../domain/share.js'
import type { BatchTimes, SentTransaction } from '../ports/report-facts.js'
import { columnsOf, type Findings, type ReportQuestion, type Row } from './report.js'
import type { ReportStores } from './usage.js'

const CALLS_MAX = 50_000
const TRANSACTIONS_MAX = 20_000
const BATCHES_MAX = 5_000

const COLUMNS = columnsOf({
  section:
    'calls: LiteLLM’s; transactions: ours, by lane; batches: from sealed to settled; cost: a batch',
  name: 'of what',
  measure: 'what is counted or measured',
  value: 'the number',
  unit: 'of the value',
})

const NOTES = [
  'From the store alone. The newest 50,000 calls, 20,000 transactions and 5,000 batches of the span are looked at.',
  'A step of a batch ends where the transaction of the next one was signed; from request to accept is Flare’s round with the wait for its proof.',
  'What wallets lost includes fees of transactions that failed, and what was moved out by hand; what came in is left out. Kept for 15 days.',
]

/** How well it runs: response times, transactions, rounds, what a batch costs. */
export async function healthOf(stores: ReportStores, question: ReportQuestion): Promise<Findings> {
  const { reportFacts, watch } = stores
  const calls = await reportFacts.callDurations(question, CALLS_MAX)
  const sent = await reportFacts.transactions(question, TRANSACTIONS_MAX)
  const batches = await reportFacts.batches(question, BATCHES_MAX)
  const settled = batches.filter(({ state }) => state === 'settled').length
  const spent: Row[] = []
  for (const { wallet, decimals } of await watch.wallets()) {
    const seen = (await watch.balances(wallet, question.fromMs)).filter(
      ({ atMs }) => atMs < question.untilMs,
    )
    const lost = seen.reduce((sum, { balance }, i) => {
      const before = seen[i - 1]?.balance ?? balance
      return before > balance ? sum + before - balance : sum
    }, 0n)
    const unit = `coins of ${wallet}`
    spent.push(line('cost', wallet, 'what the wallet lost', coins(lost, decimals), unit))
    const each = settled === 0 ? null : coins(lost / BigInt(settled), decimals)
    spent.push(line('cost', wallet, 'what the wallet lost, a settled batch', each, unit))
  }
  const rows = [
    ...spread('calls', 'LiteLLM', 'from start to end', calls),
    ...transactionLines(sent),
    ...batchLines(batches, sent),
    ...feeLines(batches, sent),
    ...spent,
  ]
  return { columns: COLUMNS, rows, notes: NOTES }
}

function transactionLines(sent: readonly SentTransaction[]): Row[] {
  const lanes = [...new Set(sent.map(({ lane }) => lane))].sort()
  return lanes.flatMap((lane) => {
    const own = sent.filter((one) => one.lane === lane)
    const of = (fate: SentTransaction['fate']) => own.filter((one) => one.fate === fate).length
    const over = own.length - of('open')
    const counted = (measure: string, value: number) =>
      line('transactions', lane, measure, value, 'transactions')
    const share = percent(BigInt(of('landed')), BigInt(over)) ?? null
    return [
      line('transactions', lane, 'success', share, 'percent of those that are over'),
      counted('landed', of('landed')),
      counted('refused by the chain', of('refused')),
      counted('never landed', of('gone')),
      counted('open', of('open')),
      counted('signed again at a higher price', own.filter(({ raises }) => raises > 0).length),
    ]
  })
}

const STEPS = [
  ['sealed to anchored', 'sealed', 'anchor'],
  ['anchored to requested', 'anchor', 'request'],
  ['requested to proven (a round)', 'request', 'accept'],
  ['proven to settling', 'accept', 'settle'],
  ['settling to settled', 'settle', 'settled'],
  ['sealed to settled', 'sealed', 'settled'],
] as const

function batchLines(batches: readonly BatchTimes[], sent: readonly SentTransaction[]): Row[] {
  // The newest of each purpose: what was tried before did not carry the batch on.
  const signed = new Map<string, number>()
  for (const { purpose, savedAtMs, fate } of sent) {
    if (fate !== 'landed') continue
    const [verb, seq] = purpose.split('/')
    const name = `${verb}/${seq}`
    if (!signed.has(name)) signed.set(name, savedAtMs)
  }
  const at = ({ seq, state, sealedAtMs, changedAtMs }: BatchTimes, mark: string) => {
    if (mark === 'sealed') return sealedAtMs
    if (mark === 'settled') return state === 'settled' ? changedAtMs : undefined
    return signed.get(`${mark}/${seq}`)
  }
  return STEPS.flatMap(([name, from, to]) => {
    const took = batches.flatMap((batch) => {
      const [start, end] = [at(batch, from), at(batch, to)]
      return start === undefined || end === undefined || end < start ? [] : [end - start]
    })
    return spread('batches', name, 'took', took)
  })
}

/** What requests cost beside gas, in the smallest unit of the lane's chain. */
function feeLines(batches: readonly BatchTimes[], sent: readonly SentTransaction[]): Row[] {
  const seqs = new Set(batches.map(({ seq }) => seq.toString()))
  const paid = sent.filter(
    ({ purpose, cost, fate }) =>
      cost !== undefined && fate !== 'refused' && seqs.has(purpose.split('/')[1] ?? ''),
  )
  const sum = paid.reduce((total, { cost }) => total + (cost ?? 0n), 0n)
  const each = batches.length === 0 ? null : sum / BigInt(batches.length)
  return [
    line('cost', 'attestation fees', 'in all', sum, 'wei'),
    line('cost', 'attestation fees', 'a batch', each, 'wei'),
    line('cost', 'attestation requests', 'in all', paid.length, 'requests'),
  ]
}

function spread(section: string, name: string, measure: string, values: readonly number[]): Row[] {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? null
  return [
    line(section, name, `${measure}, number`, sorted.length, 'seen'),
    line(section, name, `${measure}, half below`, at(0.5), 'ms'),
    line(section, name, `${measure}, 95 of 100 below`, at(0.95), 'ms'),
    line(section, name, `${measure}, longest`, sorted.at(-1) ?? null, 'ms'),
  ]
}

function line(
  section: string,
  name: string,
  measure: string,
  value: Row[string],
  unit: string,
): Row {
  return { section, name, measure, value: value ?? null, unit }
}

function coins(units: bigint, decimals: number): string {
  return formatWad(wad(units * 10n ** BigInt(18 - decimals)))
}
