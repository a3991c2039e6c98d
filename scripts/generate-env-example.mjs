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
const { allSettings, loadConfig } = await built('config.js')

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
  const blocks = Object.values(settings).map(({ env, help, secret, aliases = [] }) => {
    const mark = secret === true ? ' (secret)' : ''
    const also = aliases.length === 0 ? '' : `; taken too: ${aliases.join(', ')}`
    return `# ${help}${mark}${also}\n${required.has(env) ? '' : '#'}${env}=\n`
  })
  return [`# ---- ${title}\n`, ...blocks].join('\n')
}

function envExample() {
  const required = requiredNames()
  const sections = Object.entries(allSettings).map(([title, settings]) =>
    section(title, settings, required),
  )
  return [HEAD, ...sections].join('\n')
}

const path = join(root, '.env.example')
const fresh = envExample()
if (!process.argv.includes('--check')) {
  writeFileSync(path, fresh)
} else if (readFileSync(path, 'utf8') !== fresh) {
  console.error('.env.example is stale: run node scripts/generate-env-example.mjs')
  process.exitCode = 1
}
