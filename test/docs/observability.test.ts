import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { afterAll, describe, expect, test } from 'vitest'
import { createProgram } from '../../src/cli/index.js'
import type { CliParts } from '../../src/cli/parts.js'
import { METRICS } from '../../src/http/metric-list.js'
import { ALARMS } from '../../src/pipeline/alarms.js'
import { PageWorld } from '../support/page-world.js'

// Goal: alarms, metrics, alerts, dashboard and runbooks speak of the same things, all of them.
// Method: names are taken out of each and compared in both directions; Prometheus's own promtool
// reads the rules and plays them.

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const RULES = ['flowmeter-alarms.rules.yml', 'flowmeter-health.rules.yml']
const rules = RULES.map((file) => read(`deploy/prometheus/${file}`)).join('\n')
const dashboard = JSON.parse(read('deploy/grafana/dashboards/flowmeter.json')) as {
  panels: { id: number; title: string; targets?: { expr: string }[] }[]
}
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
const runbooks = readdirSync(join(root, 'docs/runbooks')).map((file) => file.replace(/\.md$/, ''))
const folder = mkdtempSync(join(tmpdir(), 'flowmeter-rules-'))
afterAll(() => rmSync(folder, { recursive: true }))

const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, found = '']) => found)
const known = new Set(
  Object.entries(METRICS).flatMap(([name, { type }]) =>
    type === 'histogram'
      ? ['_bucket', '_count', '_sum'].map((part) => `flowmeter_${name}${part}`)
      : [`flowmeter_${name}`],
  ),
)
const namesIn = (text: string) => all(text, /\b(flowmeter_\w+)/g)

describe('names', () => {
  test('every alert has its runbook, and every runbook its alert', () => {
    const told = all(rules, /runbook: docs\/runbooks\/(\w+)\.md/g)
    expect(told.length).toBeGreaterThan(40)
    expect([...told].sort()).toEqual([...runbooks].sort())
    expect(all(rules, /- alert: (\w+)/g)).toHaveLength(told.length)
  })

  test('every alarm has its alert, of its own severity', () => {
    for (const { id, severity } of ALARMS) {
      const [, found] =
        new RegExp(`flowmeter_alarm\\{alarm="${id}"\\}.*?severity: (\\w+)`, 's').exec(rules) ?? []
      expect([id, found]).toEqual([id, severity])
    }
    const ids = new Set<string>(ALARMS.map(({ id }) => id))
    expect(all(rules, /flowmeter_alarm\{alarm="(\w+)"\}/g).filter((id) => !ids.has(id))).toEqual([])
  })

  test('the dashboard and the rules ask for metrics that are there', () => {
    const asked = [...expressions, ...all(rules, /expr: (.*)/g)].flatMap(namesIn)
    expect(asked.length).toBeGreaterThan(60)
    expect(asked.filter((name) => !known.has(name))).toEqual([])
  })

  test('every metric is on the dashboard', () => {
    const shown = new Set(expressions.flatMap(namesIn))
    const missing = Object.keys(METRICS).filter(
      (name) => ![...shown].some((one) => one.startsWith(`flowmeter_${name}`)),
    )
    expect(missing).toEqual([])
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
  })

  test('/metrics has all of the list and nothing else of ours, with its labels', async () => {
    const world = await PageWorld.create()
    await world.trouble()
    const server = await world.serve()
    const text = await (await fetch(`${server.url}/metrics`)).text()
    const types = all(text, /^# TYPE flowmeter_(\w+) /gm)
    expect([...types].sort()).toEqual(Object.keys(METRICS).sort())
    expect(text).toContain('flowmeter_alarm{alarm="batch_parked",severity="page"} 1')
    expect(text).toContain('flowmeter_alarm{alarm="wallet_empty",severity="page"} 0')
    expect(text).toMatch(/flowmeter_transactions\{lane="test\/flow\/0",fate="landed"\} [1-9]/)
    await world.remove()
  })

  test('commands in runbooks are commands', () => {
    const program = createProgram({
      version: '',
      print: () => {},
      desks: {},
    } as unknown as CliParts)
    const words = runbooks.flatMap((name) =>
      all(read(`docs/runbooks/${name}.md`), /`(?:npx )?flowmeter ([^`]+)`/g),
    )
    expect(words.length).toBeGreaterThan(20)
    expect(words.filter((line) => !isCommand(program, line.split(/\s+/)))).toEqual([])
  })

  test('settings in runbooks are settings', () => {
    const example = read('.env.example')
    const settings = runbooks.flatMap((name) =>
      all(read(`docs/runbooks/${name}.md`), /`([A-Z]+(?:_[A-Z]+)+)`/g),
    )
    expect(settings.length).toBeGreaterThan(10)
    expect(settings.filter((name) => !new RegExp(`^#?${name}=`, 'm').test(example))).toEqual([])
  })

  test('links in runbooks lead to files', () => {
    for (const name of runbooks) {
      const text = read(`docs/runbooks/${name}.md`)
      for (const part of ['## Look at', '## Mend', '## It ends']) expect(text).toContain(part)
      for (const path of all(text, /\]\(\.\.\/([\w.-]+\.md)/g))
        expect(read(`docs/${path}`)).not.toBe('')
    }
  })
})

function isCommand(command: Command, [word, ...rest]: readonly string[]): boolean {
  if (word === undefined || command.commands.length === 0) return true
  const next = command.commands.find((one) => one.name() === word)
  return next !== undefined && isCommand(next, rest)
}

describe('promtool', () => {
  const promtool = (...args: string[]) => execFileSync('promtool', args, { encoding: 'utf8' })

  test('reads the rules', () => {
    for (const file of RULES) {
      expect(promtool('check', 'rules', join(root, 'deploy/prometheus', file))).toContain('SUCCESS')
    }
  })

  test('plays what Prometheus alone can see', () => {
    const file = join(root, 'deploy/prometheus/flowmeter-health.test.yml')
    expect(promtool('test', 'rules', file)).toContain('SUCCESS')
  })

  test('every alarm becomes an alert when it lasts, and none while it is not raised', () => {
    const blocks = ALARMS.flatMap(({ id, severity, means, runbook }) => {
      const name = new RegExp(
        `- alert: (\\w+)\\n\\s+expr: flowmeter_alarm\\{alarm="${id}"\\}`,
      ).exec(rules)?.[1]
      const series = (values: string) => ({
        interval: '1m',
        input_series: [{ series: `flowmeter_alarm{alarm="${id}",severity="${severity}"}`, values }],
      })
      const raised = {
        exp_labels: { alarm: id, severity },
        exp_annotations: { summary: means, runbook },
      }
      return [
        {
          ...series('1x30'),
          alert_rule_test: [{ eval_time: '20m', alertname: name, exp_alerts: [raised] }],
        },
        { ...series('0x30'), alert_rule_test: [{ eval_time: '20m', alertname: name }] },
        { ...series('0x10 1 0x20'), alert_rule_test: [{ eval_time: '11m', alertname: name }] },
      ]
    })
    const file = join(folder, 'alarms.test.yml')
    const ruleFile = join(root, 'deploy/prometheus/flowmeter-alarms.rules.yml')
    // JSON is YAML.
    writeFileSync(
      file,
      JSON.stringify({ rule_files: [ruleFile], evaluation_interval: '1m', tests: blocks }),
    )
    expect(promtool('test', 'rules', file)).toContain('SUCCESS')
  })
})

test('what Datadog is told to collect is there', () => {
  const names = namesIn(read('docs/datadog.md'))
  expect(names.length).toBeGreaterThan(5)
  expect(names.filter((name) => !known.has(name))).toEqual([])
})
