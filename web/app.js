import { usageChart } from './chart.js'
import { ask, forgetToken, keepToken, listen, Refused } from './live.js'
import { keys as keysPanel } from './keys.js'
import * as panels from './panels.js'
import { showReport, startReports } from './reports.js'

const USAGE_EVERY_MS = 30_000
const view = { span: 'day', vaults: undefined, keys: undefined, batches: undefined, status: undefined }
const drawn = new Map()
let wasAsked = false

/** Draws a panel when its figures have changed, so that nothing jumps under a reader's hand. */
function draw(id, figures, make) {
  const text = JSON.stringify(figures)
  if (drawn.get(id) === text) return
  drawn.set(id, text)
  const section = document.getElementById(id)
  const content = [make(figures)].flat(4).filter((one) => one instanceof Node)
  ;(section.querySelector('.body') ?? section).replaceChildren(...content)
  section.hidden = false
}

function show(status) {
  const { backlog, alarms, records, lastSettled, identity, version } = status
  const isNews = newsOf(view.status) !== newsOf(status)
  view.status = status
  draw('verdict', { alarms, lastSettled }, panels.verdict)
  draw('pipeline', { backlog, alarms, records, lastSettled }, panels.pipeline)
  draw('waits', pick(status, ['parked', 'held', 'unmapped', 'sources', 'pendingCorrections', 'refusedEntries']), panels.waits)
  draw('checks', pick(status, ['conservation']), panels.checks)
  draw('sources', pick(status, ['sources', 'metering']), panels.sources)
  draw('wallets', pick(status, ['wallets', 'prices', 'policies', 'storage', 'identity']), panels.wallets)
  const where = [identity.network, identity.chain].filter(Boolean).join(', ')
  document.getElementById('identity').textContent = `${version}${where === '' ? '' : ` on ${where}`}`
  const worst = alarms.length === 0 ? '' : `(${alarms.length}) `
  document.title = `${worst}Flowmeter`
  if (isNews) void refresh()
}

/** What makes the tables old. */
function newsOf(status) {
  return status && JSON.stringify([status.batches, status.lastBatch, status.lastSettled, status.conservation?.at, status.budgets])
}

function pick(status, names) {
  return Object.fromEntries(names.map((name) => [name, status[name]]))
}

async function showUsage() {
  draw('usage', await ask(`/v1/usage/series?span=${view.span}`), usageChart)
}

async function showVaults() {
  view.vaults = await ask('/v1/vaults')
  drawVaults()
}

function drawVaults() {
  draw('vaults', { ...view.vaults, open: view.open }, ({ items, next }) => [
    panels.vaults(
      { items, next },
      {
        onOpen: (account) => void guarded(() => openVault(account)),
        onMore: () =>
          void guarded(async () => {
            const more = await ask(`/v1/vaults?after=${next}`)
            view.vaults = { items: [...items, ...more.items], next: more.next }
            drawVaults()
          }),
      },
    ),
    view.open && panels.vaultDetail(view.open, () => void openVault(undefined)),
  ])
}

async function openVault(account) {
  view.open = account === undefined ? undefined : await ask(`/v1/vaults/${account}`)
  drawVaults()
}

/** Where keys are managed: asked elsewhere, the server says that there are none. */
async function showKeys() {
  if (view.status?.budgets === undefined) return
  view.keys = await ask('/v1/keys')
  drawKeys()
}

function drawKeys() {
  draw('keys', { ...view.keys, budgets: view.status.budgets }, ({ items, next, budgets }) =>
    keysPanel(
      { items, next, budgets },
      {
        onOpen: (account) => void guarded(() => openVault(account)),
        onMore: () =>
          void guarded(async () => {
            const more = await ask(`/v1/keys?after=${next}`)
            view.keys = { items: [...items, ...more.items], next: more.next }
            drawKeys()
          }),
      },
    ),
  )
}

async function showBatches() {
  view.batches = await ask('/v1/batches?limit=15')
  drawBatches()
}

function drawBatches() {
  draw('batches', view.batches, ({ items, next }) =>
    panels.batches(
      { items, next },
      {
        onMore: () =>
          void guarded(async () => {
            const more = await ask(`/v1/batches?before=${next}`)
            view.batches = { items: [...items, ...more.items], next: more.next }
            drawBatches()
          }),
      },
    ),
  )
}

/** Every part by itself: what one may not see does not hide what they may. */
async function refresh() {
  await Promise.all([showUsage, showVaults, showKeys, showBatches].map(guarded))
}

async function guarded(work) {
  try {
    await work()
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askWho(error.message)
    else if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error
  }
}

function askWho(message) {
  forgetToken()
  document.getElementById('sign-in-problem').textContent = wasAsked ? message : ''
  document.getElementById('sign-in').hidden = false
  wasAsked = true
  state('refused', 'a token is needed')
}

function state(kind, text) {
  const live = document.getElementById('live')
  live.className = `live ${kind}`
  live.lastElementChild.textContent = text
}

const WORDS = { live: 'live', lost: 'no connection, trying again' }

async function start() {
  // One question first: a wrong token is told once, and not by every panel.
  await guarded(showVaults)
  if (!document.getElementById('sign-in').hidden) return
  void refresh()
  void guarded(() => startReports(document.getElementById('reports')))
  void listen(show, (kind, error) => {
    if (kind !== 'refused') state(kind, WORDS[kind])
    else if (error.status === 401) askWho(error.message)
    // A customer's token sees its own vaults, and nothing of the whole.
    else state('part', 'what this token may see')
  })
}

document.getElementById('sign-in').addEventListener('submit', (event) => {
  event.preventDefault()
  const field = document.getElementById('token')
  keepToken(field.value.trim())
  field.value = ''
  event.target.hidden = true
  void start()
})

document.querySelector('#reports form').addEventListener('submit', (event) => {
  event.preventDefault()
  const body = document.querySelector('#reports .body')
  void guarded(async () => {
    body.setAttribute('aria-busy', 'true')
    const content = await showReport(event.target).finally(() => body.removeAttribute('aria-busy'))
    body.replaceChildren(...content.flat(4).filter((one) => one instanceof Node))
  })
})

for (const button of document.querySelectorAll('[data-span]')) {
  button.addEventListener('click', () => {
    view.span = button.dataset.span
    for (const one of document.querySelectorAll('[data-span]')) {
      one.setAttribute('aria-pressed', String(one === button))
    }
    void guarded(showUsage)
  })
}

setInterval(() => {
  if (!document.hidden && document.getElementById('sign-in').hidden) void guarded(showUsage)
}, USAGE_EVERY_MS)
void start()
