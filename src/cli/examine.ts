import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { attestorDoctor, createMeterKey } from '../attestors/index.js'
import { loadConfig } from '../config.js'
import { gatewayDoctor } from '../gateways/index.js'
import type { Finding } from '../ports/finding.js'
import { settlerDoctor } from '../settlers/index.js'
import { examineSource } from '../sources/index.js'
import { examineStore, storageOf } from '../store/index.js'

const NODE_MAJOR_MIN = 20

/** Everything the daemon depends on, looked at once. Throws ConfigError for wrong settings. */
export async function examineAll(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const config = loadConfig(env, folder)
  const findings = [
    node(),
    settings(config.warnings),
    await secretFiles([join(folder, '.env'), ...config.secretFiles]),
    store(config.databaseUrl),
    await content(config.databaseUrl),
    await disk(config.databaseUrl),
  ]
  for (const source of config.sources) {
    findings.push(...(await examineSource(source, config.secretOf, signal)))
  }
  if (config.budgets !== undefined) {
    const { budgets, sources, secretOf } = config
    findings.push(...(await gatewayDoctor(budgets, sources, secretOf, signal)))
  }
  findings.push(...(await attestorDoctor(config.attestor, signal)))
  const meter = await createMeterKey(config.attestor).then(
    ({ address }) => address,
    () => undefined, // Why it cannot be read is for the start to say.
  )
  const expected = { anchor: config.attestor.anchorAddress, meter }
  findings.push(...(await settlerDoctor(config.settler, signal, expected)))
  return findings
}

const OTHERS_MAY_READ = 0o004
/** A store of a year is some GB; below it, a busy LiteLLM fills the rest in days. */
const FREE_BYTES_MIN = 1024 ** 3
const MB = 1024 ** 2

async function secretFiles(paths: readonly string[]): Promise<Finding> {
  const check = 'secret files'
  const modes = await Promise.all(
    paths.map(async (path) => ({
      path,
      mode: await stat(path).then(
        (one) => one.mode,
        () => 0,
      ),
    })),
  )
  const open = modes.filter(({ mode }) => (mode & OTHERS_MAY_READ) !== 0).map(({ path }) => path)
  if (open.length === 0) return { check, verdict: 'ok', says: 'nobody else can read them' }
  const says = `every user of this machine can read ${open.join(', ')}`
  return { check, verdict: 'warning', says, fix: `chmod 600 ${open.join(' ')}` }
}

/** Whether what is stored is whole, and of this version. Looks only. */
async function content(file: string): Promise<Finding> {
  const check = 'database'
  if (!existsSync(file)) return { check, verdict: 'ok', says: 'there is none yet' }
  const problem = await examineStore(file)
  if (problem === undefined) return { check, verdict: 'ok', says: 'whole, and of this version' }
  return { check, verdict: 'broken', ...problem }
}

async function disk(file: string): Promise<Finding> {
  const check = 'disk'
  if (!existsSync(dirname(file))) return { check, verdict: 'ok', says: 'there is no store yet' }
  const { freeBytes, storeBytes } = await storageOf(file)
  const says = `${Math.floor(freeBytes / MB)} MB are free, the store takes ${Math.ceil(storeBytes / MB)} MB`
  if (freeBytes >= FREE_BYTES_MIN) return { check, verdict: 'ok', says }
  const fix = `Free space on the disk of ${file}: when it is full, nothing is read any more.`
  return { check, verdict: 'warning', says, fix }
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
