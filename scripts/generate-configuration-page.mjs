// Writes docs/configuration.md from the settings as the program itself knows them. Run
// `npm run build` first. With --check nothing is written; the exit code is 1 when the page is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const built = (path) =>
  import(`../dist/src/${path}`).catch((error) => {
    console.error(`error: ${error.message}\nRun "npm run build" first.`)
    process.exit(2)
  })
const { allSchemas, allSettings } = await built('config.js')
const { defaultText } = await built('settings.js')

const HEAD = `# Every setting

<!-- Written by scripts/generate-configuration-page.mjs. Do not edit. -->

A setting comes from the first of these that has it: the environment, \`.env\`, the \`settings\` of
\`flowmeter.config.json\`. A secret may come from a file instead: set the name with \`_FILE\` behind it to
the file's path, from the working directory. An empty value counts as none. Two names for one setting
that differ are told as a warning. \`flowmeter config print --all\` shows each setting and who says it,
secrets masked; \`flowmeter config validate\` tells every problem at once. Durations are in milliseconds.
What does not fit a line (several sources, the mapping chain, model aliases) is in
\`flowmeter.config.json\`: see [operating.md](operating.md#settings).
`

/** The default stands in a column of its own. */
function meaningOf({ help, secret, aliases = [] }, fallback) {
  const ends = [`; ${fallback}`, '; none']
  const end = ends.find((one) => help.endsWith(one))
  const meaning = end === undefined ? help : help.slice(0, -end.length)
  const also =
    aliases.length === 0 ? '' : `. Taken too: ${aliases.map((one) => `\`${one}\``).join(', ')}`
  return `${meaning}${secret === true ? ' (secret)' : ''}${also}`.replaceAll('|', '\\|')
}

function section(title, settings) {
  const rows = Object.entries(settings).map(([field, setting]) => {
    const schema = allSchemas[title]?.[field]
    const fallback = schema === undefined ? undefined : defaultText(schema)
    const shown = fallback === undefined ? '–' : `\`${fallback}\``
    return `| \`${setting.env}\` | ${meaningOf(setting, fallback)} | ${shown} |`
  })
  return `## ${title}\n\n| setting | meaning | default |\n| --- | --- | --- |\n${rows.join('\n')}\n`
}

const path = join(root, 'docs/configuration.md')
const sections = Object.entries(allSettings).map(([title, settings]) => section(title, settings))
const fresh = [HEAD, ...sections].join('\n')
if (!process.argv.includes('--check')) {
  writeFileSync(path, fresh)
} else if (readFileSync(path, 'utf8') !== fresh) {
  console.error('docs/configuration.md is stale: run node scripts/generate-configuration-page.mjs')
  process.exitCode = 1
}
