/*
 * Elements and words. Text from outside (payers, models, messages) becomes text nodes and nothing
 * else: nothing here, or anywhere on this page, parses HTML.
 */

const SVG = 'http://www.w3.org/2000/svg'

/** An element with attributes and children; strings become text, null and undefined nothing. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children)
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children)
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, String(value))
    }
  }
  for (const child of children.flat(3)) {
    if (child !== undefined && child !== null && child !== false) element.append(child)
  }
  return element
}

/** A table with its head; rows are lists of cells, columns say how they are set. */
export function table(caption, columns, rows) {
  return el(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    el(
      'table',
      {},
      el('caption', { class: 'hidden' }, caption),
      el(
        'thead',
        {},
        el('tr', {}, columns.map(([name, kind]) => el('th', { scope: 'col', class: kind }, name))),
      ),
      el(
        'tbody',
        {},
        rows.map((cells) =>
          el(
            'tr',
            {},
            cells.map((cell, i) =>
              i === 0
                ? el('th', { scope: 'row', class: columns[i][1] }, cell)
                : el('td', { class: columns[i][1], 'data-name': columns[i][0] }, cell),
            ),
          ),
        ),
      ),
    ),
  )
}

/** `1234567.89` as `1,234,567.89`: text to text, since a float has fewer digits than money. */
export function exact(text) {
  const [, sign = '', whole = text, fraction = ''] = /^(-?)(\d+)(\.\d+)?$/.exec(text) ?? []
  return `${sign}${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${fraction ?? ''}`
}

/** For axes alone: 1.2M. */
export function about(value) {
  const units = [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]
  const [size, unit] = units.find(([least]) => value >= least) ?? [1, '']
  const scaled = value / size
  return `${scaled >= 100 || Number.isInteger(scaled) ? Math.round(scaled) : scaled.toFixed(1)}${unit}`
}

export function age(seconds) {
  if (seconds < 100) return `${Math.max(0, Math.round(seconds))} s`
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** `2026-11-21T12:00:05.000Z` as `11-21 12:00:05`. */
export function moment(iso) {
  return el('time', { datetime: iso, title: iso }, iso.slice(5, 19).replace('T', ' '))
}

export function short(hash) {
  const text = hash.length > 14 ? `${hash.slice(0, 8)}…${hash.slice(-4)}` : hash
  return el('code', { title: hash }, text)
}

/** How something stands, in a word and a colour: never in a colour alone. */
export function badge(kind, text) {
  return el('span', { class: `badge ${kind}` }, text)
}
