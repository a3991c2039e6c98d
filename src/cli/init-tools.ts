import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { attestorSetUp } from '../attestors/index.js'
import { coreSettings } from '../config.js'
import type { KeyNeed } from '../ports/made-key.js'
import { createOnce, writeDurably } from '../runtime/durable-file.js'
import { type Environment, SettingLayers } from '../settings.js'
import { settlerSettings, settlerSetUp } from '../settlers/index.js'
import { litellmSettings } from '../sources/index.js'
import type { InitAnswers, InitDone, InitTools, KeyReport } from './init.js'
import { saveSettings } from './settings-file.js'

const KEYS_FOLDER = 'keys'
const SECRET_BYTES = 32

/** Secrets of no chain. */
const PLAIN_SECRETS: readonly (Pick<KeyNeed, 'setting' | 'file' | 'use' | 'make'> & {
  readonly publicOf?: KeyNeed['publicOf']
  readonly next?: string
})[] = [
  {
    setting: coreSettings.receiptSecret.env,
    file: 'receipt-secret',
    use: 'makes customers’ receipts: keep it for as long as bills can be disputed',
    make: () => randomBytes(SECRET_BYTES).toString('hex'),
  },
  {
    setting: 'ADMIN_TOKEN',
    file: 'admin-token',
    use: 'opens what only an operator may see',
    make: () => randomBytes(SECRET_BYTES).toString('base64url'),
  },
]

/** Works on a folder: keys first, then `.env` that names them, so that a crash loses nothing. */
export function initTools(env: Environment, folder: string): InitTools {
  return {
    said() {
      const layers = new SettingLayers(env, folder)
      const isSaid = (setting: Parameters<SettingLayers['find']>[0]): boolean =>
        layers.find(setting) !== undefined
      const { apiUrl, apiKey } = litellmSettings
      const network = layers.find(settlerSettings.network)?.value
      return { network, url: isSaid(apiUrl), key: isSaid(apiKey) }
    },
    problemOfUrl: (url) => new SettingLayers(env, folder).problemOf(url),
    run: (answers) => run(answers, env, folder),
  }
}

async function run(answers: InitAnswers, env: Environment, folder: string): Promise<InitDone> {
  const { network } = answers
  const [flare, flow] = await Promise.all([attestorSetUp(network), settlerSetUp(network)])
  const layers = new SettingLayers(env, folder)
  const needs = [...flare.keys, ...flow.keys, ...PLAIN_SECRETS]
  const set = new Map(
    needs.map(({ setting }) => [setting, layers.find({ env: setting, secret: true })]),
  )
  const plain = answers.litellmUrl && layers.problemOf(answers.litellmUrl)
  if (plain) layers.problems.push(`LiteLLM's URL: ${plain}`)
  layers.problems.push(...contradictions(answers, layers, folder))
  layers.check() // Also a file that is named and not there: told before anything is made.
  const lines: string[] = []
  const changed: string[] = []
  const keys: KeyReport[] = []
  for (const need of needs) {
    const { setting, file, use, next } = need
    const said = set.get(setting)
    const path = join(KEYS_FOLDER, file)
    const whole = resolve(folder, path)
    const about = { setting, use, ...(next === undefined ? {} : { next }) }
    if (said === undefined) {
      if (await createOnce(whole, `${need.make()}\n`)) changed.push(path)
      lines.push(`${setting}_FILE=${path}`)
    }
    const key = said?.value ?? readFileSync(whole, 'utf8').trim()
    const shown = await need.publicOf?.(key)
    keys.push({
      ...about,
      where: said === undefined ? path : `${said.from} (${said.origin})`,
      ...(shown === undefined ? {} : { public: shown }),
    })
  }
  lines.push(...(await litellmLines(answers, layers, folder, changed)))
  if (lines.length > 0) {
    await appendToDotenv(lines, folder)
    changed.push('.env')
  }
  const wanted = Object.entries({ ...flare.settings, ...flow.settings }).filter(
    ([name]) => layers.find({ env: name }) === undefined,
  )
  const saved = await saveSettings(Object.fromEntries(wanted), env, folder)
  if (saved.length > 0) changed.push('flowmeter.config.json')
  const after = new SettingLayers(env, folder)
  const missing = [litellmSettings.apiUrl, litellmSettings.apiKey].flatMap((setting) =>
    after.find(setting) === undefined ? [setting.env] : [],
  )
  return { network, changed, keys, missing }
}

/** What is there is never changed: whoever asks for something else is told, and gets nothing. */
function contradictions(
  { network, litellmUrl, litellmKeyFile }: InitAnswers,
  layers: SettingLayers,
  folder: string,
): string[] {
  const problems: string[] = []
  const { apiUrl, apiKey } = litellmSettings
  const ofFlow = layers.find(settlerSettings.network)
  if (ofFlow !== undefined && ofFlow.value !== network) {
    const set = `${ofFlow.from} (${ofFlow.origin}) says another network`
    problems.push(`--network: ${set}. Take a folder of its own for ${network}: it needs other keys`)
  }
  const url = layers.find(apiUrl)
  if (litellmUrl !== undefined && url !== undefined && url.value !== litellmUrl) {
    problems.push(`--litellm-url: ${url.from} (${url.origin}) says another one; change it there`)
  }
  if (litellmKeyFile === undefined) return problems
  const typed = contentOf(resolve(folder, litellmKeyFile))
  const key = layers.find(apiKey)
  if (!typed) {
    const what = typed === undefined ? 'cannot be read' : 'is empty'
    problems.push(`--litellm-key-file: the file ${what}`)
  } else if (key !== undefined && key.value !== typed) {
    problems.push(`--litellm-key-file: ${key.from} (${key.origin}) has another; change it there`)
  }
  return problems
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

async function litellmLines(
  { litellmUrl, litellmKey, litellmKeyFile }: InitAnswers,
  layers: SettingLayers,
  folder: string,
  changed: string[],
): Promise<string[]> {
  const lines: string[] = []
  const { apiUrl, apiKey } = litellmSettings
  if (litellmUrl !== undefined && layers.find(apiUrl) === undefined) {
    lines.push(`${apiUrl.env}=${litellmUrl}`)
  }
  if (layers.find(apiKey) !== undefined) return lines
  if (litellmKeyFile !== undefined) lines.push(`${apiKey.env}_FILE=${litellmKeyFile}`)
  else if (litellmKey !== undefined) {
    const path = join(KEYS_FOLDER, 'litellm.key')
    if (await createOnce(resolve(folder, path), `${litellmKey}\n`)) changed.push(path)
    lines.push(`${apiKey.env}_FILE=${path}`)
  }
  return lines
}

/** What is there stays, to the letter. */
async function appendToDotenv(lines: readonly string[], folder: string): Promise<void> {
  const path = join(folder, '.env')
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const gap = before === '' || before.endsWith('\n') ? '' : '\n'
  const heading = '# Written by flowmeter init. Paths are from this folder.'
  await writeDurably(path, `${before}${gap}${heading}\n${lines.join('\n')}\n`)
}
