// The real way: source, step and store as the daemon wires them, until the source has no more.
import { join } from 'node:path'
import { collectNext } from '../dist/src/pipeline/collect.js'
import { litellmConfig } from '../dist/src/sources/litellm/config.js'
import { litellmSource } from '../dist/src/sources/litellm/source.js'
import { openStore } from '../dist/src/store/index.js'

const [url, folder] = process.argv.slice(2)
const START_MS = Date.UTC(2026, 10, 1)

const clock = { now: Date.now }
const store = openStore(join(folder, 'product.sqlite'), clock)
await store.migrate()
await store.records.addSource('main', START_MS)
const source = litellmSource(
  litellmConfig.parse({ kind: 'litellm', name: 'main', apiUrl: url }),
  'sk-bench',
)
const settings = { settleMs: 75_000, overlapMs: 0 }
const { signal } = new AbortController()
const parts = { ...store, source, clock, settings }
const pass = {}
let isDone = false
let rssMax = 0

async function readUntil(rows) {
  while (!isDone && (pass.walk?.added ?? 0) < rows) {
    isDone = (await collectNext(parts, pass, signal)) === 'idle' || pass.walk === undefined
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }
}

process.on('message', async ({ untilRows, isOver }) => {
  if (isOver) {
    const { records } = await store.records.counts()
    process.send({ held: records })
    await store.close()
    process.disconnect()
    return
  }
  rssMax = 0
  const startedAt = performance.now()
  await readUntil(untilRows)
  const seconds = (performance.now() - startedAt) / 1000
  process.send({ seconds, rssMb: rssMax / 1024 / 1024 })
})

// Whoever started it is gone.
process.on('disconnect', () => process.exit())
