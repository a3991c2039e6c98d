import type { FastifyInstance, FastifyReply } from 'fastify'
import { type AccountNumber, accountNumber } from '../domain/ids.js'
import { formatReport, plainReport } from '../reports/format.js'
import {
  type AskedReport,
  questionOf,
  REPORT_KINDS,
  type Report,
  type ReportQuestion,
} from '../reports/report.js'

export interface ReportsParts {
  readonly make: (question: ReportQuestion, signal: AbortSignal) => Promise<Report>
  readonly now: () => number
  /** Whose usage a record is, as the mapping has it. */
  readonly payerField: ReportQuestion['payerField']
}

const WAIT_S = 5

/**
 * GET /v1/reports            `{ "kinds": [ "peak-hours", … ] }`
 * GET /v1/reports/<kind>     ?account=7 &from=2026-11-01 &to=2026-11-08 &by=user &format=json|csv
 *
 * 200 the report: `{ kind, at, from, until, account?, columns: [{ name, means }], rows: [{ … }],
 *   isCut, notes }`; integers that may be large are text, amounts decimal text, unknown is null
 * 400 `bad_question`, with what is wrong
 * 404 `not_found` for a kind that there is not
 * 429 while another report is made: reading the store takes turns with the daemon's own work
 *
 * At most 400 days and 5,000 rows; the daemon goes on between the slices in which it reads.
 */
export function addReports(server: FastifyInstance, parts: ReportsParts): void {
  let isBusy = false
  server.get('/v1/reports', async () => ({ kinds: REPORT_KINDS }))
  server.get('/v1/reports/:kind', async (request, reply) => {
    const { kind } = request.params as { readonly kind: string }
    if (!REPORT_KINDS.some((one) => one === kind)) {
      return refuse(reply, 404, 'not_found', `ask for one of ${REPORT_KINDS.join(', ')}`)
    }
    const asked = askedOf(request.query as Readonly<Record<string, unknown>>)
    if (typeof asked === 'string') return refuse(reply, 400, 'bad_question', asked)
    const question = questionOf(kind, asked.report, parts.now(), parts.payerField)
    if (typeof question === 'string') return refuse(reply, 400, 'bad_question', question)
    if (isBusy) {
      reply.header('retry-after', WAIT_S)
      return refuse(reply, 429, 'busy', 'another report is being made: ask again in a moment')
    }
    isBusy = true
    const gone = new AbortController()
    // Nobody waits for it any more.
    reply.raw.once('close', () => gone.abort())
    try {
      const report = await parts.make(question, gone.signal)
      if (asked.format === 'json') return await reply.send(plainReport(report))
      return await reply.type('text/csv; charset=utf-8').send(formatReport(report, 'csv'))
    } finally {
      isBusy = false
    }
  })
}

interface Asked {
  readonly report: AskedReport
  readonly format: 'json' | 'csv'
}

const KNOWN = ['account', 'from', 'to', 'by', 'format']

/** Of a query string, where a name may stand twice. What is wrong with it, instead. */
function askedOf(query: Readonly<Record<string, unknown>>): Asked | string {
  const unknown = Object.keys(query).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) return `expected none but ${KNOWN.join(', ')}`
  const twice = KNOWN.find((name) => query[name] !== undefined && typeof query[name] !== 'string')
  if (twice !== undefined) return `${twice}: expected once`
  const { account: number, format = 'json', ...rest } = query as Readonly<Record<string, string>>
  if (format !== 'json' && format !== 'csv') return 'format: expected json or csv'
  if (number === undefined) return { report: rest, format }
  const account = accountOf(number)
  if (account === undefined) return 'account: expected a number, such as 42'
  return { report: { ...rest, account }, format }
}

function accountOf(text: string): AccountNumber | undefined {
  const isNumber = /^(0|[1-9]\d{0,19})$/.test(text) && BigInt(text) < 1n << 64n
  return isNumber ? accountNumber(BigInt(text)) : undefined
}

function refuse(reply: FastifyReply, status: number, error: string, message: string): FastifyReply {
  return reply.code(status).send({ error, message })
}
