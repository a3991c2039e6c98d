import { age, badge, el, exact, moment, short, table } from './dom.js'
import { keyTable, runway } from './keys.js'

const STATES = [
  ['collected', 'read from the sources'],
  ['attributed', 'with vault and period'],
  ['sealed', 'in a signed batch'],
  ['anchored', 'on Flare'],
  ['requested', 'attestation asked for'],
  ['finalised', 'its round is final'],
  ['attested', 'proof in hand'],
  ['accepted', 'by the light client on Flow'],
]
const SEVERITY_WORDS = { page: 'now', warning: 'soon', info: 'know' }
const MORE_MAX = 20

function plural(count, one, many) {
  return `${exact(String(count))} ${count === 1 ? one : many}`
}

export function verdict({ alarms, lastSettled }) {
  if (alarms.length === 0) {
    const settled = lastSettled === undefined ? '' : ` Batch ${lastSettled.seq} is settled.`
    return el('p', { class: 'all-well' }, badge('ok', 'quiet'), ` Nothing needs you.${settled}`)
  }
  return el(
    'ul',
    { class: 'alarms', 'aria-label': 'Alarms' },
    alarms.map(({ id, severity, says, since }) =>
      el(
        'li',
        { class: severity },
        badge(severity, SEVERITY_WORDS[severity]),
        el('strong', {}, id.replaceAll('_', ' ')),
        el('span', { class: 'says' }, says),
        since && el('span', { class: 'quiet' }, 'since ', moment(since)),
        el('a', { href: `/runbooks/${id}` }, 'what to do'),
      ),
    ),
  )
}

export function pipeline({ backlog, alarms, records, lastSettled }) {
  const late = new Map(
    alarms.flatMap(({ id, severity }) =>
      id.startsWith('behind_') ? [[id.slice('behind_'.length), severity]] : [],
    ),
  )
  const parked = backlog.parked?.count ?? 0
  return [
    el(
      'ol',
      { class: 'way' },
      STATES.map(([state, means]) => {
        const { count = 0, oldestAgeS } = backlog[state] ?? {}
        const kind = late.has(state) ? 'late' : count > 0 ? 'busy' : 'idle'
        return el(
          'li',
          { class: kind, title: means },
          el('span', { class: 'state' }, state),
          el('span', { class: 'count' }, exact(String(count))),
          el(
            'span',
            { class: 'age' },
            count === 0 ? 'none' : oldestAgeS === undefined ? 'held' : age(oldestAgeS),
            late.has(state) ? ' late' : '',
          ),
        )
      }),
      el(
        'li',
        { class: 'done', title: 'priced and charged on Flow' },
        el('span', { class: 'state' }, 'settled'),
        el('span', { class: 'count' }, lastSettled === undefined ? '–' : exact(lastSettled.seq)),
        el('span', { class: 'age' }, lastSettled === undefined ? 'none yet' : 'newest batch'),
      ),
    ),
    el(
      'p',
      { class: 'quiet sums' },
      `${exact(String(records.total))} records, ${exact(String(records.sealed))} in batches, `,
      `${exact(String(records.excluded))} excluded, ${exact(String(records.rejected))} rows rejected, `,
      parked === 0 ? 'no batch parked' : el('strong', {}, plural(parked, 'batch', 'batches') + ' parked'),
    ),
  ]
}

/** @param onOpen called with an account number, to show all of its periods */
export function vaults({ items, next }, { onOpen, onMore }) {
  if (items.length === 0) return el('p', { class: 'quiet' }, 'No vault was seen on Flow yet.')
  return [
    table(
      'Vaults',
      [
        ['Vault', 'n'],
        ['This period', ''],
        ['Billable tokens', 'n'],
        ['Charged', 'n'],
        ['Paid', 'n'],
        ['Owed', 'n'],
        ['Written off', 'n'],
        ['Balance, tokens', 'n'],
      ],
      items.map((vault) => {
        const [period] = vault.periods
        const money = (text) => amount(text, vault.currency)
        return [
          el(
            'button',
            { type: 'button', class: 'link', onclick: () => onOpen(vault.account) },
            vault.account,
            vault.isOpen ? '' : ' (closed)',
          ),
          tierBar(period),
          period === undefined ? '–' : exact(period.billableTokens),
          money(vault.charged),
          money(vault.paid),
          vault.owed === '0' ? money(vault.owed) : el('strong', { class: 'owed' }, money(vault.owed)),
          money(vault.writtenOff),
          vault.balance === null ? '–' : exact(vault.balance),
        ]
      }),
    ),
    next !== null && el('button', { type: 'button', class: 'more', onclick: onMore }, 'More vaults'),
  ]
}

/** All that one vault has: for its operator, and for its customer. */
export function vaultDetail(vault, onClose) {
  return el(
    'div',
    { class: 'detail' },
    el(
      'div',
      { class: 'title' },
      el('h3', {}, `Vault ${vault.account}, period by period`),
      onClose && el('button', { type: 'button', class: 'link', onclick: onClose }, 'close'),
    ),
    vault.runway && runway(vault.runway),
    vault.keys.length > 0 && keyTable(`Keys of vault ${vault.account}`, vault.keys),
    vault.periods.length === 0
      ? el('p', { class: 'quiet' }, 'Nothing was charged yet.')
      : table(
          `Periods of vault ${vault.account}`,
          [
            ['From', ''],
            ['Plan', 'n'],
            ['Billable tokens', 'n'],
            ['Tier', ''],
            ['To the next tier', 'n'],
            ['Charged', 'n'],
          ],
          vault.periods.map((period) => [
            period.start.slice(0, 10),
            period.planId ?? '–',
            exact(period.billableTokens),
            tierBar(period),
            period.tier?.toNext ? `${exact(period.tier.toNext)} tokens` : 'last tier',
            amount(period.charged, vault.currency),
          ]),
        ),
  )
}

function amount(text, currency) {
  return currency === 'USD' ? `$${exact(text)}` : `${exact(text)} ${currency ?? ''}`.trim()
}

/** One step a tier, the current one filled as far as it has come. */
function tierBar(period) {
  if (!period?.tier) return el('span', { class: 'quiet' }, period ? 'plan not read' : 'no usage')
  const { current, tiers } = period.tier
  const tokens = BigInt(period.billableTokens)
  const steps = tiers.map(({ upTo }, i) => {
    if (i !== current) return i < current ? 100 : 0
    if (upTo === null) return 100
    const from = i === 0 ? 0n : BigInt(tiers[i - 1].upTo)
    const width = BigInt(upTo) - from
    return width === 0n ? 100 : Number(((tokens - from) * 100n) / width)
  })
  const { pricePerMillion, discountPercent } = tiers[current]
  const off = discountPercent === '0' ? '' : `, ${discountPercent}% off`
  const says = `tier ${current + 1} of ${tiers.length}: ${exact(pricePerMillion)} a million${off}`
  return el(
    'span',
    { class: 'tiers', title: says },
    el(
      'span',
      { class: 'steps', 'aria-hidden': 'true' },
      steps.map((percent) => {
        const meter = el('span', { class: 'fill' })
        meter.style.width = `${Math.max(0, Math.min(100, percent))}%`
        return el('span', { class: 'step' }, meter)
      }),
    ),
    el('span', { class: 'tier' }, `${current + 1}/${tiers.length}${off}`),
  )
}

export function batches({ items, next }, { onMore }) {
  if (items.length === 0) return el('p', { class: 'quiet' }, 'No batch was sealed yet.')
  const kinds = { settled: 'ok', parked: 'page', superseded: 'info' }
  return [
    table(
      'Batches',
      [
        ['Batch', 'n'],
        ['State', ''],
        ['Sealed', ''],
        ['Entries', 'n'],
        ['Round', 'n'],
        ['Root', ''],
        ['Transactions', 'wrap'],
      ],
      items.map((batch) => [
        batch.seq,
        badge(kinds[batch.state] ?? 'busy', batch.state),
        moment(batch.sealedAt),
        exact(String(batch.entries)),
        [
          batch.round ?? '–',
          batch.missedRounds > 0 && el('span', { class: 'quiet' }, ` (${batch.missedRounds} missed)`),
        ],
        short(batch.root),
        el(
          'ul',
          { class: 'txs' },
          batch.transactions.map(({ purpose, id, fate }) =>
            el(
              'li',
              { class: fate, title: `${purpose}: ${fate}` },
              `${purpose.split('/')[0]} `,
              short(id),
              fate === 'landed' ? '' : ` ${fate}`,
            ),
          ),
        ),
      ]),
    ),
    next !== null && el('button', { type: 'button', class: 'more', onclick: onMore }, 'More batches'),
  ]
}

export function waits({ parked, held, unmapped, sources, pendingCorrections, refusedEntries }) {
  const setAside = sources.flatMap(({ name, quarantined = 0, twins = 0, held: rows = {} }) =>
    Object.entries({ changed: quarantined, 'seen twice': twins, ...rows }).flatMap(
      ([reason, count]) => (count > 0 ? [[name, reason.replaceAll('_', ' '), count]] : []),
    ),
  )
  const lists = [
    list('Parked batches', parked, ({ seq, reason }) => [el('strong', {}, `Batch ${seq}`), ' ', reason]),
    list('Held before sealing', held, ({ account, periodStart, why, since }) => [
      el('strong', {}, `Vault ${account}`),
      ` from ${periodStart.slice(0, 10)}: ${why}, since `,
      moment(since),
    ]),
    unmapped.records > 0 &&
      list(`Unmapped: ${plural(unmapped.records, 'record', 'records')}`, unmapped.payers, (one) => [
        el('strong', { class: 'name' }, one.payer === '' ? '(no payer)' : one.payer),
        ` ${plural(one.records, 'record', 'records')}: ${one.reason}`,
      ]),
    list('Rows set aside', setAside, ([name, reason, count]) => [
      el('strong', {}, name),
      ` ${exact(String(count))} ${reason}`,
    ]),
    refusedEntries > 0 && el('p', {}, `${refusedEntries} entries were not applied by Flow.`),
    pendingCorrections > 0 && el('p', {}, `${pendingCorrections} corrections wait for the provider.`),
  ].filter(Boolean)
  return lists.length > 0 ? lists : el('p', { class: 'quiet' }, 'Nothing waits.')
}

function list(title, items, line) {
  if (items.length === 0) return null
  const more = items.length - MORE_MAX
  return [
    el('h3', {}, title),
    el(
      'ul',
      { class: 'lines' },
      items.slice(0, MORE_MAX).map((item) => el('li', {}, line(item))),
      more > 0 && el('li', { class: 'quiet' }, `and ${more} more: flowmeter status --json`),
    ),
  ]
}

/** When the check that is longest away had gone over all batches. */
function lookedAt({ compared = {} }) {
  const ended = Object.values(compared).map(({ endedAt }) => endedAt)
  if (ended.length === 0 || ended.includes(undefined)) return 'not yet in full'
  return moment(ended.sort()[0])
}

export function checks({ conservation }) {
  if (conservation === undefined) return el('p', { class: 'quiet' }, 'Not compared with Flow yet.')
  const all = Object.entries(conservation.checks)
  const differing = all.filter(([, difference]) => difference !== '0')
  return [
    el(
      'p',
      {},
      differing.length === 0
        ? [badge('ok', 'yes'), ` ${all.length} comparisons, every difference is 0. `]
        : [badge('page', 'no'), ` ${differing.length} of ${all.length} differ. `],
      el('span', { class: 'quiet' }, moment(conservation.at)),
    ),
    el('p', { class: 'quiet' }, 'Every batch looked at again: ', lookedAt(conservation)),
    el(
      'dl',
      { class: 'figures' },
      all.map(([check, difference]) =>
        el(
          'div',
          { class: difference === '0' ? '' : 'problem' },
          el('dt', {}, check.replaceAll('_', ' ')),
          el('dd', {}, exact(difference)),
        ),
      ),
    ),
  ]
}

export function sources({ sources: all, metering }) {
  if (all.length === 0) return el('p', { class: 'quiet' }, 'No source is known yet.')
  return [
    all.map(({ name, lagS, version, problem, warnings }) =>
      el(
        'div',
        { class: 'item' },
        el(
          'p',
          {},
          badge(problem === undefined ? 'ok' : 'warning', problem === undefined ? 'read' : 'problem'),
          ' ',
          el('strong', {}, name),
          el('span', { class: 'quiet' }, ` ${version ?? ''} read until ${age(lagS)} ago`),
        ),
        problem && el('p', { class: 'problem' }, `${problem.code}: ${problem.message}`),
        warnings.length > 0 &&
          el('ul', { class: 'lines' }, warnings.map((warning) => el('li', {}, warning))),
      ),
    ),
    (metering?.directories ?? []).map(({ name, entries, problem }) =>
      el(
        'p',
        { class: problem === undefined ? 'quiet' : 'problem' },
        `Directory ${name}: ${exact(String(entries))} payers${problem ? `; ${problem}` : ''}`,
      ),
    ),
  ]
}

export function wallets({ wallets: all, prices = [], policies, storage, identity }) {
  return [
    all.length === 0 && el('p', { class: 'quiet' }, 'No wallet was looked at yet.'),
    all.map(({ wallet, address, balance, runwayDays }) =>
      el(
        'p',
        {},
        el('strong', {}, wallet),
        ` ${exact(balance)} `,
        el('span', { class: 'quiet' }, runwayDays === undefined ? 'pace not known yet' : `for ${runwayDays} days`),
        ' ',
        short(address),
      ),
    ),
    prices.map(({ token, currency, price, ageS, paymentsWait }) =>
      el(
        'p',
        { class: paymentsWait === undefined ? '' : 'problem' },
        `${token.split('.').slice(-2)[0]} in ${currency}: ${price ?? 'none'}`,
        ageS === undefined ? '' : `, ${age(ageS)} old`,
        paymentsWait === undefined ? '' : `; payments wait: ${paymentsWait}`,
      ),
    ),
    policies &&
      el(
        'p',
        { class: policies.behind > 0 ? 'problem' : 'quiet' },
        `Signing policy of epoch ${policies.accepted} on Flow, ${policies.inForce} in force`,
      ),
    storage &&
      el(
        'p',
        { class: 'quiet' },
        `Store: ${exact(String(Math.ceil(storage.storeBytes / 1e6)))} MB, `,
        `${exact(String(Math.floor(storage.freeBytes / 1e6)))} MB free`,
      ),
    el(
      'dl',
      { class: 'figures' },
      Object.entries(identity).map(([name, value]) =>
        el('div', {}, el('dt', {}, name.replaceAll('_', ' ')), el('dd', {}, short(String(value)))),
      ),
    ),
  ]
}
