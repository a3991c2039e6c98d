// Writes .env.example from the settings as the program itself knows them. Run `npm run build` first.
// With --check nothing is written; the exit code is 1 when the file is stale.
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = (path) =>
  import(`../dist/src/${path}`).catch((error) => {
    console.error(`error: ${error.message}\nRun "npm run build" first.`)
    process.exit(2)
  })
const { coreSettings, loadConfig } = await built('config.js')
const { httpSettings } = await built('http/config.js')
const { attestorSettings } = await built('attestors/index.js')
const { settlerSettings } = await built('settlers/index.js')

/** Read by config.ts itself: one LiteLLM, by the names that its integrations have always had. */
const litellmSettings = {
  apiUrl: {
    env: 'LITELLM_API_URL',
    help: 'URL of the LiteLLM proxy; LITELLM_BASE_URL is taken too',
  },
  apiKey: {
    env: 'LITELLM_API_KEY',
    secret: true,
    help: 'key of a user with the role proxy_admin_viewer; LITELLM_MASTER_KEY is taken too',
  },
  sourceName: { env: 'LITELLM_SOURCE_NAME', help: 'permanent name of this LiteLLM; main' },
}
const fileSettings = {
  file: {
    env: 'FLOWMETER_CONFIG',
    help: 'path of the JSON file for lists; flowmeter.config.json in the working directory',
  },
}

const HEAD = `# Settings of Flowmeter. Copy this file to .env and fill in what is not commented out.
# Written by scripts/generate-env-example.mjs. Do not edit.
#
# The environment wins over .env. A setting marked "secret" may come from a file instead: set
# NAME_FILE to its path. What stands after ";" is the default. Lists (several LiteLLMs, the mapping
# chain, model aliases) are in flowmeter.config.json: see docs/operating.md.
`

/** The program is asked with no settings at all: what it misses has no default. */
function requiredNames() {
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-env-'))
  try {
    loadConfig({}, folder)
  } catch (error) {
    return new Set([...error.message.matchAll(/^ {2}- ([A-Z_]+)/gm)].map(([, name]) => name))
  } finally {
    rmdirSync(folder)
  }
  throw new Error('the program starts without any setting: nothing is required any more')
}

function section(title, settings, required) {
  const blocks = Object.values(settings).map(({ env, help, secret }) => {
    const mark = secret === true ? ' (secret)' : ''
    return `# ${help}${mark}\n${required.has(env) ? '' : '#'}${env}=\n`
  })
  return [`# ---- ${title}\n`, ...blocks].join('\n')
}

function envExample() {
  const required = requiredNames()
  return [
    HEAD,
    section('LiteLLM', litellmSettings, required),
    section('Flare', attestorSettings, required),
    section('Flow', settlerSettings, required),
    section('HTTP', httpSettings, required),
    section('The daemon', { ...coreSettings, ...fileSettings }, required),
  ].join('\n')
}

const path = join(root, '.env.example')
const fresh = envExample()
if (!process.argv.includes('--check')) {
  writeFileSync(path, fresh)
} else if (readFileSync(path, 'utf8') !== fresh) {
  console.error('.env.example is stale: run node scripts/generate-env-example.mjs')
  process.exitCode = 1
}
