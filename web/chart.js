import { about, el, exact, svg, table } from './dom.js'

/** A phone gets a drawing of its own width: one that is scaled has letters that nobody reads. */
const [WIDTH, HEIGHT] = matchMedia('(max-width: 760px)').matches ? [380, 170] : [1200, 220]
const LEFT = 52
const BOTTOM = 22
const TOP = 8
const OTHERS = 'all others'

/** Bars of tokens by time, one colour a model; the same figures follow as a table. */
export function usageChart({ from, until, bucketS, buckets }) {
  const models = modelsOf(buckets)
  if (models.length === 0) return el('p', { class: 'quiet' }, 'No usage in this time.')
  const color = new Map(models.map(({ model }, i) => [model, `c${model === OTHERS ? 8 : i}`]))
  const columns = columnsOf(from, until, bucketS, buckets)
  const top = niceTop(Math.max(...columns.map(({ sum }) => sum)))
  const x = (i) => LEFT + (i * (WIDTH - LEFT)) / columns.length
  const y = (tokens) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - tokens / top)
  const width = Math.max(1, (WIDTH - LEFT) / columns.length - 1.5)
  const total = models.reduce((sum, one) => sum + one.tokens, 0n)
  const marks = [0, top / 2, top].map((value) => [
    svg('line', { class: 'rule', x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
    svg('text', { class: 'mark', x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, about(value)),
  ])
  const bars = columns.flatMap(({ at, parts }, i) => {
    let below = 0
    return [...parts]
      .sort(([a], [b]) => order(models, a) - order(models, b))
      .map(([model, tokens]) => {
        const base = below
        below += Number(tokens)
        const height = Math.max(0.5, y(base) - y(below))
        const box = { x: x(i), y: y(below), width, height, class: color.get(model) }
        const says = `${at.slice(0, 16).replace('T', ' ')} ${model}: ${exact(tokens.toString())} tokens`
        return svg('rect', box, svg('title', {}, says))
      })
  })
  const every = Math.ceil(columns.length / (WIDTH / 100))
  const times = columns.flatMap(({ at }, i) =>
    i % every === 0
      ? svg('text', { class: 'mark', x: x(i), y: HEIGHT - 6 }, bucketS < 3600 ? at.slice(11, 16) : at.slice(5, 10))
      : [],
  )
  const says = `${exact(total.toString())} tokens of ${models.length} models, by time`
  return el(
    'div',
    { class: 'chart' },
    svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': says },
      marks,
      bars,
      times,
    ),
    table(
      'Tokens by model',
      [
        ['Model', ''],
        ['Requests', 'n'],
        ['Prompt', 'n'],
        ['of it cached', 'n'],
        ['Completion', 'n'],
        ['Tokens', 'n'],
      ],
      models.map(({ model, requests, prompt, cached, completion, tokens }) => [
        [el('span', { class: `key ${color.get(model)}` }), el('span', { class: 'name' }, model)],
        exact(requests.toString()),
        exact(prompt.toString()),
        exact(cached.toString()),
        exact(completion.toString()),
        exact(tokens.toString()),
      ]),
    ),
  )
}

function modelsOf(buckets) {
  const models = new Map()
  for (const one of buckets) {
    const model = nameOf(one)
    const sums = models.get(model) ?? {
      ...{ model, requests: 0n, prompt: 0n, cached: 0n, completion: 0n, tokens: 0n },
    }
    sums.requests += BigInt(one.requests)
    sums.prompt += BigInt(one.promptTokens)
    sums.cached += BigInt(one.cachedPromptTokens)
    sums.completion += BigInt(one.completionTokens)
    sums.tokens = sums.prompt + sums.completion
    models.set(model, sums)
  }
  const last = (one) => (one.model === OTHERS ? 1 : 0)
  return [...models.values()].sort(
    (a, b) => last(a) - last(b) || Number(b.tokens - a.tokens) || (a.model < b.model ? -1 : 1),
  )
}

function columnsOf(from, until, bucketS, buckets) {
  const start = Date.parse(from)
  const count = Math.round((Date.parse(until) - start) / 1000 / bucketS)
  const columns = Array.from({ length: count }, (_, i) => ({
    at: new Date(start + i * bucketS * 1000).toISOString(),
    parts: new Map(),
    sum: 0,
  }))
  for (const one of buckets) {
    const column = columns[Math.round((Date.parse(one.at) - start) / 1000 / bucketS)]
    if (column === undefined) continue
    const tokens = BigInt(one.promptTokens) + BigInt(one.completionTokens)
    column.parts.set(nameOf(one), tokens)
    column.sum += Number(tokens)
  }
  return columns
}

function nameOf({ model }) {
  return model === null ? OTHERS : model === '' ? '(no name)' : model
}

function order(models, name) {
  return models.findIndex(({ model }) => model === name)
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)))
  return [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((top) => top >= value) ?? value
}
