import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

// Goal: taking rows in costs little more than nothing at all. Method: the same rows of realistic
// size, from a server in a process of its own, are read over HTTP into SQLite, by a bare loop and by
// the real source, step and store, each in a process of its own. They take turns, a twentieth of
// the rows each, so that whatever else the machine does slows both.

const RATIO_MIN = 0.6
const RSS_MB_MAX = 300
const TURNS = 20
/** Of the turns: until then the heap finds its size. */
const WARM_UP = 0.2

export async function run(options) {
  const { values } = parseArgs({
    args: options,
    options: {
      rows: { type: 'string', default: '1000000' },
      json: { type: 'boolean', default: false },
    },
  })
  const rows = Number(values.rows)
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-bench-'))
  const server = fork(new URL('ingest-server.mjs', import.meta.url), [String(rows)])
  try {
    const { url } = await answerOf(server)
    const baseline = new Racer('ingest-baseline.mjs', [url, folder])
    const product = new Racer('ingest-product.mjs', [url, folder])
    for (let turn = 1; turn <= TURNS; turn += 1) {
      const untilRows = Math.ceil((rows * turn) / TURNS)
      await baseline.run(untilRows)
      await product.run(untilRows)
      const ratio = (baseline.seconds / product.seconds).toFixed(3)
      const rss = Math.round(product.rssMb.at(-1))
      console.error(`${untilRows} of ${rows} rows: ratio ${ratio}, ${rss} MB`)
    }
    await baseline.end(rows)
    await product.end(rows)
    const result = {
      rowsPerSecond: Math.round(rows / product.seconds),
      baselineRowsPerSecond: Math.round(rows / baseline.seconds),
      ratio: Number((baseline.seconds / product.seconds).toFixed(3)),
      rssMb: Math.round(Math.max(...product.rssMb.slice(TURNS * WARM_UP))),
    }
    const text = Object.entries(result).map(([name, value]) => `${name} ${value}`)
    console.log(values.json ? JSON.stringify(result) : text.join(', '))
    return result.ratio >= RATIO_MIN && result.rssMb < RSS_MB_MAX ? 0 : 1
  } finally {
    server.kill()
    rmSync(folder, { recursive: true })
  }
}

/** One of the two, in its own process. */
class Racer {
  seconds = 0
  rssMb = []
  #child

  constructor(file, options) {
    this.#child = fork(new URL(file, import.meta.url), options)
  }

  async run(untilRows) {
    const { seconds, rssMb } = await this.#ask({ untilRows })
    this.seconds += seconds
    this.rssMb.push(rssMb)
  }

  async end(rows) {
    const { held } = await this.#ask({ isOver: true })
    if (held !== rows) throw new Error(`${held} rows came of ${rows}`)
  }

  #ask(message) {
    this.#child.send(message)
    return answerOf(this.#child)
  }
}

/** The next message of a child; an error where it ends without one. */
function answerOf(child) {
  return new Promise((resolve, reject) => {
    const ended = (code) => reject(new Error(`a process of the bench ended with ${code}`))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message)
    })
  })
}
