// The least that anybody could do: fetch a page, JSON.parse it, one prepared INSERT OR IGNORE a row
// in one transaction a page. No check, no role, no reduction of what is wrong with a row.
import { join } from 'node:path'
import Database from 'better-sqlite3'

const [url, folder] = process.argv.slice(2)
const PAGE_SIZE = 1000
const db = new Database(join(folder, 'baseline.sqlite'))
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.exec(`CREATE TABLE usage_records (
  source TEXT NOT NULL, request_id TEXT NOT NULL, started_at_ms BIGINT NOT NULL,
  ended_at_ms BIGINT NOT NULL, user TEXT NOT NULL, api_key TEXT NOT NULL, team_id TEXT NOT NULL,
  end_user TEXT NOT NULL, model TEXT NOT NULL, prompt_tokens BIGINT NOT NULL,
  cached_prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL, excluded TEXT,
  spend TEXT NOT NULL, seen_at_ms BIGINT NOT NULL, PRIMARY KEY (source, request_id))`)
const insert = db.prepare(
  `INSERT OR IGNORE INTO usage_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
)
const insertAll = db.transaction((page) => {
  for (const row of page) {
    const cached = row.metadata?.usage_object?.prompt_tokens_details?.cached_tokens ?? 0
    insert.run(
      'main',
      row.request_id,
      Date.parse(row.startTime),
      Date.parse(row.endTime),
      row.user,
      row.api_key,
      row.team_id,
      row.end_user,
      row.model_group,
      row.prompt_tokens,
      cached,
      row.completion_tokens,
      null,
      String(row.spend),
      Date.now(),
    )
  }
})

let [page, read] = [1, 0]
let isDone = false

async function readUntil(rows) {
  while (read < rows && !isDone) {
    const query = new URLSearchParams({
      start_date: '2026-11-01 00:00:00',
      end_date: '2027-11-01 00:00:00',
      page: String(page),
      page_size: String(PAGE_SIZE),
    })
    const { data } = await (await fetch(`${url}/spend/logs/v2?${query}`)).json()
    insertAll(data)
    page += 1
    read += data.length
    isDone = data.length < PAGE_SIZE
  }
}

process.on('message', async ({ untilRows, isOver }) => {
  if (isOver) {
    process.send({ held: db.prepare('SELECT count(*) FROM usage_records').pluck().get() })
    process.disconnect()
    return
  }
  const startedAt = performance.now()
  await readUntil(untilRows)
  const seconds = (performance.now() - startedAt) / 1000
  process.send({ seconds, rssMb: process.memoryUsage.rss() / 1024 / 1024 })
})

// Whoever started it is gone.
process.on('disconnect', () => process.exit())
