import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readStatus } from '../dist/src/pipeline/status.js'
import { openStore } from '../dist/src/store/index.js'

// npm run bench -- status [--records 500000] [--waiting 1000] [--json]
// What GET /status costs with many records behind it: nearly all are in batches, some wait. The page
// and every scrape of the metrics ask it.

const STATUS_MS_MAX = 400
const LOOKS = 9

export async function run(options) {
  const { values } = parseArgs({
    args: options,
    options: {
      records: { type: 'string', default: '500000' },
      waiting: { type: 'string', default: '1000' },
      json: { type: 'boolean', default: false },
    },
  })
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-status-'))
  const file = join(folder, 'store.sqlite')
  const clock = { now: Date.now }
  const store = openStore(file, clock)
  try {
    await store.migrate()
    fill(file, Number(values.records), Number(values.waiting))
    const took = []
    for (let look = 0; look < LOOKS; look += 1) {
      const startedAt = performance.now()
      await readStatus({ stores: store, clock, version: '0', identity: {}, limits: {} })
      took.push(performance.now() - startedAt)
    }
    const statusMs = Math.round(took.sort((a, b) => a - b)[LOOKS >> 1])
    const ok = statusMs <= STATUS_MS_MAX
    const result = { records: Number(values.records), statusMs, statusMsMax: STATUS_MS_MAX }
    console.log(values.json ? JSON.stringify({ bench: 'status', ok, ...result }) : result)
    return ok ? 0 : 1
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}

/** As a year of use leaves them: in batches but for the newest, one in a hundred excluded. */
function fill(file, records, waiting) {
  const Database = createRequire(import.meta.url)('better-sqlite3')
  const database = new Database(file)
  database.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${records})
    insert into usage_records (source, request_id, started_at_ms, ended_at_ms, user, api_key, team_id,
      end_user, model, prompt_tokens, cached_prompt_tokens, completion_tokens, excluded, spend,
      seen_at_ms, mapping_version, account, strategy, period_start, model_id, batch_seq)
    select 'main', 'call-' || i, 1700000000000 + i * 1000, 1700000000500 + i * 1000, 'user-' || (i % 500),
      'key', 'team', '', 'gpt-4o', 100, 0, 20, case when i % 100 = 0 then 'failure' end, '0.01',
      1700000001000 + i * 1000, 'v', printf('%020d', i % 500), 'direct', 1700000000, 1,
      case when i % 100 = 0 or i > ${records - waiting} then null else 1 + i / 1000 end from n`)
  database.close()
}
