import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { root } from '../cli/run-cli.js'

// Goal: a known hole fails CI, and nothing less than one does.
// Method: `.ci/audit` as CI runs it, with an npm in front of the real one that prints a report in the
// form of npm's own (auditReportVersion 2) and ends as npm does. The registry at hand may have none.

const run = promisify(execFile)

const found = (name: string, severity: string) => ({
  [name]: {
    name,
    severity,
    isDirect: false,
    via: [
      {
        source: 1_097_679,
        name,
        dependency: name,
        title: `${name} is vulnerable to something`,
        url: 'https://github.com/advisories/GHSA-0000-0000-0000',
        severity,
        cwe: ['CWE-400'],
        cvss: { score: 7.5, vectorString: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H' },
        range: '<1.8.2',
      },
    ],
    effects: [],
    range: '<1.8.2',
    nodes: [`node_modules/${name}`],
    fixAvailable: true,
  },
})

function report(...all: ReturnType<typeof found>[]) {
  const counts = { info: 0, low: 0, moderate: 0, high: 0, critical: 0, total: 0 }
  for (const { severity } of all.flatMap((one) => Object.values(one))) {
    counts[severity as keyof typeof counts] += 1
    counts.total += 1
  }
  const dependencies = { prod: 300, dev: 90, optional: 20, peer: 0, peerOptional: 0, total: 410 }
  const vulnerabilities = Object.assign({}, ...all)
  return {
    auditReportVersion: 2,
    vulnerabilities,
    metadata: { vulnerabilities: counts, dependencies },
  }
}

async function audit(answer: string, npmEndsWith: number) {
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-audit-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'answer'), answer)
  const script = `#!/bin/sh\n[ "$1" = audit ] || exit 64\ncat '${join(folder, 'answer')}'\nexit ${npmEndsWith}\n`
  writeFileSync(join(folder, 'npm'), script, { mode: 0o755 })
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` }
  return run(join(root, '.ci/audit'), { env }).then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      said: stdout + stderr,
    }),
  )
}

describe('a report of npm', () => {
  test.each(['high', 'critical'])(
    'with a hole that is %s fails, and names it',
    async (severity) => {
      const all = report(found('axios', severity), found('ms', 'low'))
      const { code, said } = await audit(JSON.stringify(all), 1)
      expect(code).toBe(1)
      expect(said).toContain(`${severity}: axios <1.8.2`)
      expect(said).toContain('410 packages, 1 high or critical')
      expect(said).not.toContain('low: ms')
    },
  )

  test.each([
    ['with less than that', report(found('axios', 'moderate'), found('ms', 'low')), 1],
    ['with nothing', report(), 0],
  ])('%s passes', async (_what, all, npmEndsWith) => {
    expect(await audit(JSON.stringify(all), npmEndsWith)).toEqual({
      code: 0,
      said: '410 packages, 0 high or critical\n',
    })
  })
})

describe('no report', () => {
  test('of a registry without one: said, and passed', async () => {
    const { code, said } = await audit('{"message":"405 Method Not Allowed","statusCode":405}', 1)
    expect([code, said]).toEqual([0, expect.stringContaining('not asked: the registry has no')])
    expect(said).toContain('405 Method Not Allowed')
  })

  test('nothing at all: the same', async () => {
    expect(await audit('', 1)).toMatchObject({
      code: 0,
      said: expect.stringContaining('no answer'),
    })
  })

  test('what is no JSON fails', async () => {
    expect((await audit('<html>', 0)).code).toBe(1)
  })
})
