import { el, exact, table } from './dom.js'
import { ask, Refused } from './live.js'

/*
 * What usage looks like, costs and will cost. Reading takes turns with the daemon's own work, so a
 * report is made when somebody asks for it, and not with every look at the page.
 */

const TITLES = {
  'peak-hours': 'Peak hours',
  models: 'Models',
  users: 'Behaviour of users',
  vaults: 'Behaviour of vaults',
  cheaper: 'The same on a cheaper model',
  tiers: 'Tiers and discount',
  projection: 'Projection',
  health: 'Health',
}
const ROWS_MAX = 50
const BUSIEST = 10
/** Digits that count nothing: they stay as they are written. */
const NAMES = new Set(['account', 'payer', 'model', 'plan_model'])
const NUMBER = /^-?\d+(\.\d+)?$/

/** Fills the panel's list of reports; hidden where nobody makes any. */
export async function startReports(section) {
  const { kinds } = await ask('/v1/reports')
  const choice = section.querySelector('select')
  choice.replaceChildren(...kinds.map((kind) => el('option', { value: kind }, TITLES[kind] ?? kind)))
  section.hidden = false
}

/** @returns what is shown of the report that the form asks for */
export async function showReport(form) {
  const { kind, account } = Object.fromEntries(new FormData(form))
  const of = account.trim() === '' ? '' : `?account=${encodeURIComponent(account.trim())}`
  try {
    const report = await ask(`/v1/reports/${kind}${of}`)
    return [report.kind === 'peak-hours' ? week(report) : null, rowsOf(report), words(report)]
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 401) throw error
    const says = error.status === 404 ? 'there is no such vault for you' : error.message
    return [el('p', { class: 'problem', role: 'alert' }, says)]
  }
}

/** A square an hour, seven days below each other: darker is busier. The table has the numbers. */
function week({ rows }) {
  const most = Math.max(1, ...rows.map(({ requests }) => Number(requests)))
  const days = [...new Set(rows.map(({ weekday }) => weekday))]
  return el(
    'div',
    { class: 'week', 'aria-hidden': 'true' },
    days.map((day) => [
      el('span', { class: 'day' }, String(day).slice(0, 3)),
      rows
        .filter(({ weekday }) => weekday === day)
        .map(({ hour, requests }) => {
          const square = el('span', { class: 'hour', title: `${day} ${hour}:00, ${requests} calls` })
          square.style.opacity = String(0.08 + (0.92 * Number(requests)) / most)
          return square
        }),
    ]),
  )
}

function rowsOf({ kind, columns, rows: all }) {
  if (all.length === 0) return el('p', { class: 'quiet' }, 'Nothing to tell yet.')
  const isWeek = kind === 'peak-hours'
  const rows = isWeek ? [...all].sort((a, b) => a.rank - b.rank).slice(0, BUSIEST) : all.slice(0, ROWS_MAX)
  const isNumber = ({ name }) => rows.every((row) => row[name] === null || NUMBER.test(row[name]))
  const shown = table(
    TITLES[kind] ?? kind,
    columns.map((column) => [
      el('span', { title: column.means }, column.name.replaceAll('_', ' ')),
      isNumber(column) ? 'n' : 'wrap',
    ]),
    rows.map((row) => columns.map(({ name }) => (NAMES.has(name) ? (row[name] ?? '–') : cell(row[name])))),
  )
  const more = all.length - rows.length
  return [shown, more > 0 && el('p', { class: 'quiet' }, `${exact(String(more))} more rows: flowmeter report ${kind}`)]
}

function cell(value) {
  if (value === null || value === undefined) return '–'
  const text = String(value)
  return NUMBER.test(text) ? exact(text) : text
}

function words({ from, until, notes, isCut }) {
  return el(
    'ul',
    { class: 'lines quiet' },
    el('li', {}, `From ${from.slice(0, 16)}Z until ${until.slice(0, 16)}Z.`),
    isCut && el('li', {}, 'There is more: name a vault.'),
    notes.map((note) => el('li', {}, note)),
  )
}
