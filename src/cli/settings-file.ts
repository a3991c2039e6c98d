import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ConfigError } from '../domain/errors.js'
import { writeDurably } from '../runtime/durable-file.js'
import { CONFIG_FILE, type Environment, SettingLayers } from '../settings.js'

const READABLE = 0o644

/**
 * Writes settings that are no secrets into `flowmeter.config.json` and leaves the rest of it as it
 * is. Returns the names that were not there with these values.
 *
 * @throws ConfigError `setting_elsewhere` where the environment or `.env` says something else
 */
export async function saveSettings(
  values: Readonly<Record<string, string>>,
  env: Environment,
  folder: string,
): Promise<readonly string[]> {
  const layers = new SettingLayers(env, folder)
  if (layers.file === undefined) layers.check()
  for (const [name, value] of Object.entries(values)) {
    const found = layers.find({ env: name })
    if (found === undefined || found.origin === CONFIG_FILE || found.value === value) continue
    const fix = `Take it out of there, or set it to ${value}.`
    throw new ConfigError(
      'setting_elsewhere',
      `${name} is set otherwise in ${found.origin}. ${fix}`,
    )
  }
  const changed = Object.entries(values).filter(
    ([name, value]) => layers.find({ env: name })?.value !== value,
  )
  if (changed.length === 0) return []
  const named = layers.find({ env: 'FLOWMETER_CONFIG' })?.value
  const path = named === undefined ? join(folder, CONFIG_FILE) : resolve(folder, named)
  const before = existsSync(path) ? (JSON.parse(await readFile(path, 'utf8')) as object) : {}
  const settings = 'settings' in before ? (before.settings as object) : {}
  const after = { ...before, settings: { ...settings, ...Object.fromEntries(changed) } }
  await writeDurably(path, `${JSON.stringify(after, null, 2)}\n`, READABLE)
  return changed.map(([name]) => name)
}
