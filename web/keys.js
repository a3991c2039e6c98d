import { age, badge, el, exact, moment, table } from './dom.js'

const LEVELS = {
  ok: ['ok', 'lasts'],
  warn: ['info', 'a day or less'],
  soft: ['warning', 'hours'],
  dry: ['page', 'dry'],
}

const YEAR_S = 366 * 86_400

/** Every key with who pays, whether it works, and why not. */
export function keys({ items, next, budgets }, { onOpen, onMore }) {
  const { levels, held } = budgets
  const accounts = Object.values(levels).reduce((sum, count) => sum + count, 0)
  const blocked = Object.entries(held).filter(([, count]) => count > 0)
  return [
    el(
      'p',
      { class: 'quiet sums' },
      `${exact(String(accounts))} ${accounts === 1 ? 'account has' : 'accounts have'} keys, ${exact(String(levels.dry))} of them dry. `,
      blocked.map(([reason, count]) => `${exact(String(count))} held for ${reason}. `),
    ),
    items.length === 0
      ? el('p', { class: 'quiet' }, 'There is no key yet.')
      : keyTable('Keys', items, onOpen),
    next !== null && el('button', { type: 'button', class: 'more', onclick: onMore }, 'More keys'),
  ]
}

/** @param onOpen called with an account, where it is not open already */
export function keyTable(caption, items, onOpen) {
  return table(
    caption,
    [
      ['Key', ''],
      ['Vault', 'n'],
      ['Works', ''],
      ['A minute', 'n'],
      ['Budget', 'n'],
      ['At LiteLLM', ''],
    ],
    items.map((key) => [
      key.name,
      onOpen === undefined
        ? key.account
        : el(
            'button',
            { type: 'button', class: 'link', onclick: () => onOpen(key.account) },
            key.account,
          ),
      works(key),
      `${limit(key.rpmLimit)} requests, ${limit(key.tpmLimit)} tokens`,
      key.maxBudget === null ? 'none' : `$${exact(key.maxBudget)} ${key.budgetDuration ?? ''}`,
      followed(key),
    ]),
  )
}

function works({ holds, blockedBy }) {
  if (holds.length > 0) {
    return [
      badge('page', 'blocked'),
      el('ul', { class: 'lines why' }, holds.map(({ reason, text }) => el('li', {}, `${reason}: ${text}`))),
    ]
  }
  return blockedBy === 'gateway' ? badge('warning', 'blocked in LiteLLM') : badge('ok', 'works')
}

function followed({ syncStatus, problem, lastSyncedAt }) {
  if (syncStatus === 'failed') return el('span', { class: 'problem' }, problem ?? 'failed')
  if (syncStatus === 'pending') return 'on its way'
  return lastSyncedAt === null ? 'as wanted' : ['as wanted ', moment(lastSyncedAt)]
}

function limit(value) {
  return value === null ? 'any' : exact(String(value))
}

/** How long one account lasts, and what is left of budget, quota and credits. */
export function runway(shown) {
  const { level, currency, available, reserve, exposure, timeLeftS, problem } = shown
  const money = (text) => (currency === 'USD' ? `$${exact(text)}` : `${exact(text)} ${currency}`)
  const [kind, word] = LEVELS[level]
  const figure = (name, text) => el('div', {}, el('dt', {}, name), el('dd', {}, text))
  return [
    el(
      'p',
      {},
      badge(kind, word),
      lasts(timeLeftS),
      el('span', { class: 'quiet' }, 'Usage is known until ', moment(shown.knownUntil)),
    ),
    problem && el('p', { class: 'problem' }, problem),
    shown.holds.map(({ reason, text }) => el('p', { class: 'problem' }, `Blocked, ${reason}: ${text}`)),
    el(
      'dl',
      { class: 'figures' },
      figure('available', money(available)),
      figure('kept back', money(reserve)),
      figure('an hour', money(shown.burnPerHour)),
      figure('spent today', money(shown.spentToday)),
      figure('at risk', exposure === null ? 'without bound' : money(exposure)),
      shown.credits !== null && figure('credits', exact(shown.credits)),
      shown.budget !== null && figure(`budget until ${shown.budget.until}`, budgetText(shown.budget)),
      shown.byokBudget !== null &&
        figure(`own provider’s key until ${shown.byokBudget.until}`, budgetText(shown.byokBudget)),
      shown.quota.map((one) => figure(quotaName(one), `${exact(one.left)} of ${exact(one.allowed)}`)),
    ),
  ]
}

function lasts(timeLeftS) {
  if (timeLeftS === null) return ' No end at this pace. '
  if (timeLeftS > YEAR_S) return ' More than a year at this pace. '
  return ` ${age(timeLeftS)} left at this pace. `
}

function budgetText({ hard, remaining, currency, usedUpOn }) {
  const left = remaining === null ? 'not looked at yet' : `${exact(remaining)} left`
  const day = usedUpOn === null || usedUpOn.expected === 'later' ? '' : `, used up ${usedUpOn.expected}`
  return `${left} of ${exact(hard)} ${currency}${day}`
}

function quotaName({ limit: name, isByok }) {
  return `${name.replaceAll('_', ' ')} left${isByok ? ', own provider’s key' : ''}`
}
