// Writes what follows from the lists of alarms and metrics: deploy/prometheus/flowmeter-alarms.rules.yml,
// deploy/grafana/dashboards/flowmeter.json and docs/metrics.md. Run `npm run build` first.
// With --check nothing is written; the exit code is 1 when one of them is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = (path) =>
  import(`../dist/src/${path}`).catch((error) => {
    console.error(`error: ${error.message}\nRun "npm run build" first.`)
    process.exit(2)
  })
const { ALARMS } = await built('pipeline/alarms.js')
const { METRICS, QUESTIONS } = await built('http/metric-list.js')

/** A moment's trouble wakes nobody; what lasts does. */
const WAITS = { page: '2m', warning: '5m', info: '15m' }

function alarmRules() {
  const rules = ALARMS.map(
    ({ id, severity, means, runbook }) => `      - alert: ${alertName(id)}
        expr: flowmeter_alarm{alarm="${id}"} > 0
        for: ${WAITS[severity]}
        labels:
          severity: ${severity}
        annotations:
          summary: ${JSON.stringify(means)}
          runbook: ${runbook}
`,
  )
  return `# Written by scripts/generate-observability.mjs from src/pipeline/alarm-rules.ts. Do not edit.
groups:
  - name: flowmeter-alarms
    rules:
${rules.join('')}`
}

function alertName(id) {
  const words = id.split('_').map((word) => word[0].toUpperCase() + word.slice(1))
  return `Flowmeter${words.join('')}`
}

/** Grafana's own variable: the reader chooses it. */
const DATASOURCE = ['$', '{datasource}'].join('')

/** By question: title, unit, expressions with their legends. */
const PANELS = {
  alive: [
    ['Alarms raised', 'none', ['flowmeter_alarm > 0', '{{severity}} {{alarm}}']],
    ['Workers not ok', 'none', ['flowmeter_worker_state{state!="ok"} > 0', '{{worker}} {{state}}']],
    ['Steps', 'ops', ['sum by (result) (rate(flowmeter_worker_steps_total[5m]))', '{{result}}']],
    ['Version', 'none', ['flowmeter_build_info', '{{version}}']],
  ],
  behind: [
    ['Waiting, by state', 'none', ['flowmeter_backlog', '{{state}}']],
    ['Oldest, by state', 's', ['flowmeter_backlog_oldest_age_seconds', '{{state}}']],
    [
      'Read until',
      's',
      ['flowmeter_source_lag_seconds', '{{source}}'],
      ['flowmeter_source_clock_skew_seconds', '{{source}} skew'],
      ['flowmeter_source_problem', '{{source}} problem'],
    ],
    ['Records', 'none', ['flowmeter_records', '{{kind}}']],
    [
      'Rounds missed, epochs behind',
      'none',
      ['flowmeter_missed_rounds', 'rounds'],
      ['flowmeter_policy_epochs_behind', 'epochs'],
    ],
  ],
  money: [
    ['Differences that must be 0', 'none', ['flowmeter_check_difference', '{{check}}']],
    [
      'Since it was compared',
      's',
      ['time() - flowmeter_checked_timestamp_seconds', 'with Flow'],
      ['time() - flowmeter_check_ended_timestamp_seconds', '{{check}}'],
    ],
    ['Batches that no node shows', 'none', ['flowmeter_check_unknown', '{{check}}']],
    [
      'Ours minus the source’s sums',
      'none',
      ['flowmeter_control_differing', '{{source}} differing'],
      ['sum by (source) (abs(flowmeter_control_difference_tokens))', '{{source}} tokens'],
      ['sum by (source) (abs(flowmeter_control_difference_requests))', '{{source}} requests'],
    ],
    [
      'Accounts with keys',
      'none',
      ['flowmeter_accounts', '{{level}}'],
      ['flowmeter_accounts_stale', 'not read'],
    ],
    [
      'Prices',
      's',
      ['flowmeter_token_price_age_seconds', '{{token}} {{currency}}'],
      ['flowmeter_token_price_missing', '{{token}} missing'],
    ],
  ],
  stuck: [
    [
      'Waits for somebody',
      'none',
      ['flowmeter_unmapped_records', 'unmapped records'],
      ['sum(flowmeter_held_entries)', 'held entries'],
      ['flowmeter_pending_corrections', 'corrections'],
      ['flowmeter_refused_entries', 'refused entries'],
      ['flowmeter_backlog{state="parked"}', 'parked batches'],
    ],
    [
      'Rows set aside',
      'none',
      ['flowmeter_quarantined_rows', '{{source}} changed'],
      ['flowmeter_held_rows', '{{source}} {{reason}}'],
      ['flowmeter_twin_records', '{{source}} seen twice'],
      ['flowmeter_decided_records', 'rule: {{verdict}}'],
    ],
    [
      'Keys',
      'none',
      ['flowmeter_keys', '{{sync}}'],
      ['flowmeter_keys_blocked', 'blocked'],
      ['flowmeter_accounts_held', 'accounts held: {{reason}}'],
    ],
    [
      'Directories',
      'none',
      ['flowmeter_directory_entries', '{{directory}} payers'],
      ['flowmeter_directory_problem', '{{directory}} problem'],
    ],
  ],
  cost: [
    ['Runway', 'd', ['flowmeter_wallet_runway_days', '{{wallet}}']],
    ['Balance', 'none', ['flowmeter_wallet_balance', '{{wallet}}']],
    [
      'Coins for a day, for a batch',
      'none',
      ['flowmeter_wallet_spent_per_day', '{{wallet}} a day'],
      ['flowmeter_wallet_spent_per_batch', '{{wallet}} a batch'],
    ],
    ['Disk', 'bytes', ['flowmeter_store_bytes', 'store'], ['flowmeter_store_free_bytes', 'free']],
  ],
  health: [
    [
      'Nine of ten answers within',
      's',
      [
        'histogram_quantile(0.9, sum by (le, dependency, host) (rate(flowmeter_dependency_seconds_bucket[5m])))',
        '{{dependency}} {{host}}',
      ],
    ],
    [
      'Answers',
      'ops',
      [
        'sum by (dependency, outcome) (rate(flowmeter_dependency_seconds_count[5m]))',
        '{{dependency}} {{outcome}}',
      ],
    ],
    [
      'Time in a state, median',
      's',
      [
        'histogram_quantile(0.5, sum by (le, state) (rate(flowmeter_batch_stage_seconds_bucket[6h])))',
        '{{state}}',
      ],
    ],
    ['Transactions of a day', 'none', ['flowmeter_transactions', '{{lane}} {{fate}}']],
  ],
}

function dashboard() {
  const panels = []
  let y = 0
  for (const [question, title] of Object.entries(QUESTIONS)) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    })
    y += 1
    PANELS[question].forEach(([name, unit, ...targets], i) => {
      panels.push({
        id: panels.length + 1,
        type: 'timeseries',
        title: name,
        datasource: { type: 'prometheus', uid: DATASOURCE },
        gridPos: { x: (i % 3) * 8, y: y + Math.floor(i / 3) * 7, w: 8, h: 7 },
        fieldConfig: {
          defaults: { unit, min: 0, custom: { lineWidth: 1, fillOpacity: 8 } },
          overrides: [],
        },
        options: {
          legend: { displayMode: 'list', placement: 'bottom' },
          tooltip: { mode: 'multi' },
        },
        targets: targets.map(([expr, legendFormat], j) => ({
          refId: String.fromCharCode(65 + j),
          expr,
          legendFormat,
        })),
      })
      if (name.startsWith('Differences') || name.startsWith('Ours'))
        delete panels.at(-1).fieldConfig.defaults.min
    })
    y += Math.ceil(PANELS[question].length / 3) * 7
  }
  const board = {
    uid: 'flowmeter',
    title: 'Flowmeter',
    tags: ['flowmeter'],
    schemaVersion: 39,
    timezone: 'utc',
    refresh: '30s',
    time: { from: 'now-24h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' }],
    },
    panels,
  }
  return `${JSON.stringify(board, null, 2)}\n`
}

function metricsPage() {
  const sections = Object.entries(QUESTIONS).map(([question, title]) => {
    const rows = Object.entries(METRICS)
      .filter(([, metric]) => metric.question === question)
      .map(([name, { type, help, labels }]) => {
        const named = labels.map((label) => `\`${label}\``).join(', ')
        return `| \`flowmeter_${name}\` | ${type} | ${named === '' ? '–' : named} | ${help} |`
      })
    return `## ${title}\n\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
  })
  const alarms = ALARMS.map(
    ({ id, severity, means }) => `| [${id}](runbooks/${id}.md) | ${severity} | ${means} |`,
  )
  return `# Metrics and alarms

<!-- Written by scripts/generate-observability.mjs. Do not edit. -->

\`GET /metrics\` answers in Prometheus's text format. Gauges are read from the store at that moment, so a restart
changes none of them; counters and histograms are of this process. Amounts are rounded to floats there: money is
exact in \`/status\` and on the page. Beside these come the metrics of Node and of the process (\`process_…\`,
\`nodejs_…\`).

${sections.join('\n')}
## Alarms

What somebody has to look at is decided in one place, and is the same in \`/status\`, on the page, in
\`flowmeter_alarm\`, and in the alerts of [deploy/prometheus](../deploy/prometheus). \`page\` is for now, \`warning\` for
working hours, \`info\` to know.

| alarm | severity | what it means |
| --- | --- | --- |
${alarms.join('\n')}
`
}

const files = {
  'deploy/prometheus/flowmeter-alarms.rules.yml': alarmRules(),
  'deploy/grafana/dashboards/flowmeter.json': dashboard(),
  'docs/metrics.md': metricsPage(),
}
for (const [path, fresh] of Object.entries(files)) {
  if (!process.argv.includes('--check')) {
    writeFileSync(join(root, path), fresh)
  } else if (readFileSync(join(root, path), 'utf8') !== fresh) {
    console.error(`${path} is stale: run node scripts/generate-observability.mjs`)
    process.exitCode = 1
  }
}
