import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Caller, sees } from '../domain/access.js'
import { canonicalAccount } from '../domain/ids.js'
import { formatReport, plainReport } from '../reports/format.js'
import {
  type AskedReport,
  questionOf,
  REPORT_KINDS,
  type Report,
  type ReportQuestion,
} from '../reports/report.js'
import { answer, notFound } from './answers.js'
import { callerOf } from './guard.js'

export interface ReportsParts {
  readonly make: (question: ReportQuestion, signal: AbortSignal) => Promise<Report>
  readonly now: () => number
  /** Whose usage a record is, as the mapping has it. */
  readonly payerField: ReportQuestion['payerField']
}

/** A customer's token asks for its own account. */
const OWN = { config: { access: { role: 'read', accounts: 'own' } } } as const
const WAIT_S = 5
const KNOWN = ['account', 'to', 'by', 'format', 'from']

/**
 * GET /v1/reports            `{ "kinds": [ "peak-hours", … ] }`
 * GET /v1/reports/<kind>     ?account=7 &from=2026-11-01 &to=2026-11-08 &by=user &format=json|csv
 *
 * 200 the report: `{ kind, at, from, until, account?, columns: [{ name, means }], rows: [{ … }],
 *   isCut, notes }`; integers that may be large are text, amounts decimal text, unknown is null
 * 400 `bad_question`, with what is wrong
 * 404 `not_found` for a kind that there is not, and for an account that is not the caller's
 * 429 `busy` while another report is made: reading takes turns with the daemon's own work
 *
 * At most 400 days and 5,000 rows; the daemon goes on between the slices in which it reads. Whoever
 * sees some accounts alone names one of them, or has only one; `health` is about all.
 */
export function addReports(server: FastifyInstance, parts: ReportsParts): void {
  let isBusy = false
  server.get('/v1/reports', OWN, async (request) => ({ kinds: kindsFor(callerOf(request)) }))
  server.get('/v1/reports/:kind', OWN, async (request, reply) => {
    const caller = callerOf(request)
    const { kind } = request.params as { readonly kind: string }
    if (!kindsFor(caller).some((one) => one === kind)) return notFound(reply)
    const asked = askedOf(request)
    if (typeof asked === 'string') return answer(reply, 400, 'bad_question', asked)
    const account = asked.report.account ?? onlyOf(caller)
    if (account !== undefined && !sees(caller, account)) return notFound(reply)
    if (account === undefined && caller.scope !== 'all') {
      return answer(reply, 400, 'bad_question', 'account: name one of yours')
    }
    const whole = { ...asked.report, ...(account === undefined ? {} : { account }) }
    const question = questionOf(kind, whole, parts.now(), parts.payerField)
    if (typeof question === 'string') return answer(reply, 400, 'bad_question', question)
    if (isBusy) {
      reply.header('retry-after', WAIT_S)
      return answer(reply, 429, 'busy', 'another report is being made: ask again in a moment')
    }
    isBusy = true
    const gone = new AbortController()
    // Nobody waits for it any more.
    reply.raw.once('close', () => gone.abort())
    let report: Report
    try {
      report = await parts.make(question, gone.signal)
    } finally {
      isBusy = false // Before it is sent: whoever has it may ask for the next one at once.
    }
    if (asked.format === 'json') return plainReport(report)
    return reply.type('text/csv; charset=utf-8').send(formatReport(report, 'csv'))
  })
}

function kindsFor({ scope }: Caller): readonly string[] {
  return scope === 'all' ? REPORT_KINDS : REPORT_KINDS.filter((kind) => kind !== 'health')
}

function onlyOf({ scope }: Caller) {
  return scope !== 'all' && scope.length === 1 ? scope[0] : undefined
}

interface Asked {
  readonly report: AskedReport
  readonly format: 'json' | 'csv'
}

/** Of a query string, where a name may stand twice. What is wrong with it, instead. */
function askedOf(request: FastifyRequest): Asked | string {
  const query = request.query as Readonly<Record<string, unknown>>
  const unknown = Object.keys(query).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) return `expected none but ${KNOWN.join(', ')}`
  const twice = KNOWN.find((name) => query[name] !== undefined && typeof query[name] !== 'string')
  if (twice !== undefined) return `${twice}: expected once`
  const { account: number, format = 'json', ...rest } = query as Readonly<Record<string, string>>
  if (format !== 'json' && format !== 'csv') return 'format: expected json or csv'
  if (number === undefined) return { report: rest, format }
  const account = canonicalAccount(number)
  if (account === undefined) return 'account: expected a number, such as 42'
  return { report: { ...rest, account }, format }
}
