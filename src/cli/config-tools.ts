import { allSchemas, allSettings, loadConfig } from '../config.js'
import { type Environment, SettingLayers, showSettings } from '../settings.js'
import type { ConfigTools } from './config-command.js'

/** Needs no network, and no setting to be right but for `validate`. */
export function configTools(env: Environment, folder: string): ConfigTools {
  return {
    validate: () => ({ warnings: loadConfig(env, folder).warnings }),
    show() {
      const layers = new SettingLayers(env, folder)
      const groups = Object.entries(allSettings).map(([group, settings]) => {
        return [group, showSettings(layers, settings, allSchemas[group] ?? {})] as const
      })
      return Object.fromEntries(groups)
    },
  }
}
