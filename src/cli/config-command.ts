import { Command } from 'commander'
import type { ShownSetting } from '../settings.js'
import { type CliParts, toJson } from './parts.js'

export interface ConfigTools {
  /** @throws ConfigError `settings` with every problem at once */
  validate(): { readonly warnings: readonly string[] }
  /** By what they belong to. */
  show(): Readonly<Record<string, readonly ShownSetting[]>>
}

/** What the settings are and where they come from. No secret is ever shown. */
export function configCommand({ config, print }: Pick<CliParts, 'config' | 'print'>): Command {
  const command = new Command('config').description('Look at the settings')
  command
    .command('validate')
    .description('Say every problem of the settings at once; asks no network')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: true }) => {
      const { warnings } = (await config()).validate()
      if (options.json) return print(toJson({ ok: true, warnings }))
      for (const warning of warnings) print(`warning: ${warning}`)
      print('The settings are valid. "flowmeter doctor" looks at what they name.')
    })
  command
    .command('print')
    .description('Show each setting and where it comes from, secrets masked')
    .option('--all', 'those that nobody has set, too')
    .option('--json', 'print one JSON object')
    .action(async (options: { all?: true; json?: true }) => {
      const groups = (await config()).show()
      if (options.json) return print(toJson(groups))
      for (const [group, settings] of Object.entries(groups)) {
        const shown = settings.filter(({ origin }) => options.all || isSaid(origin))
        if (shown.length > 0) print(`${group}\n${textOf(shown)}`)
      }
      if (!options.all) print('All others have their defaults, or none: see --all.')
    })
  return command
}

function isSaid(origin: ShownSetting['origin']): boolean {
  return origin !== 'default' && origin !== 'unset'
}

function textOf(settings: readonly ShownSetting[]): string {
  const nameWidth = Math.max(...settings.map(({ name }) => name.length))
  const rows = settings.map(({ name, value = '', origin, from }) => {
    const said = from === undefined ? origin : `${origin}, as ${from}`
    return `  ${name.padEnd(nameWidth)}  ${value === '' ? '' : `${value}  `}(${said})`
  })
  return rows.join('\n')
}
