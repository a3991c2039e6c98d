import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { attestorDoctor } from '../attestors/index.js'
import { loadConfig } from '../config.js'
import type { Finding } from '../ports/finding.js'
import { settlerDoctor } from '../settlers/index.js'
import { examineSource } from '../sources/index.js'

const NODE_MAJOR_MIN = 20

/** Everything the daemon depends on, looked at once. Throws ConfigError for wrong settings. */
export async function examineAll(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const config = loadConfig(env, folder)
  const findings = [node(), settings(config.warnings), store(config.databaseUrl)]
  for (const source of config.sources) {
    findings.push(...(await examineSource(source, config.secretOf, signal)))
  }
  findings.push(...(await attestorDoctor(config.attestor, signal)))
  findings.push(...(await settlerDoctor(config.settler, signal)))
  return findings
}

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return major >= NODE_MAJOR_MIN
    ? { check: 'node', verdict: 'ok', says: process.version }
    : {
        check: 'node',
        verdict: 'broken',
        says: process.version,
        fix: 'Install Node.js 20.19 or later.',
      }
}

function settings(warnings: readonly string[]): Finding {
  const check = 'settings'
  if (warnings.length === 0) return { check, verdict: 'ok', says: 'complete' }
  const fix = 'Say it once, under the name that .env.example has.'
  return { check, verdict: 'warning', says: warnings.join('; '), fix }
}

function store(file: string): Finding {
  const check = 'store'
  try {
    mkdirSync(dirname(file), { recursive: true })
    accessSync(existsSync(file) ? file : dirname(file), constants.W_OK)
    const says = existsSync(file)
      ? `${file} can be written`
      : `${file} will be made at the first start`
    return { check, verdict: 'ok', says }
  } catch {
    const fix = 'Give this user the right to write there, or set DATABASE_URL to another place.'
    return { check, verdict: 'broken', says: `${file} cannot be written`, fix }
  }
}
