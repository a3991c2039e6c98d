import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { BATCH_LIMITS } from '../../src/pipeline/draft.js'

// Goal: the limits that the documentation promises are those of the program. Method: each row of the
// tables that names a constant is looked for in that file, value and all, and its use besides.

const root = resolve(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(resolve(root, path), 'utf8')
const page = read('docs/limits.md')
const rows = [...page.matchAll(/`(src\/[^`]+)` `([A-Z_]+) = ([^`]+)` \|$/gm)].map(
  ([, file = '', name = '', value = '']) => ({ file, name, value }),
)

test('there are limits of each kind', () => {
  expect(rows.length).toBeGreaterThan(25)
  for (const heading of ['In memory', 'On the wire', 'Tries', 'On the disk']) {
    expect(page).toContain(`## ${heading}`)
  }
})

test.each(rows)('$name = $value in $file', ({ file, name, value }) => {
  const text = read(file)
  expect(text).toMatch(new RegExp(`const ${name} = ${value.replace(/[*]/g, '\\*')}$`, 'm'))
  expect(text.split(new RegExp(`\\b${name}\\b`)).length).toBeGreaterThan(2)
})

test('a batch takes in what the page says', () => {
  const { records, entries } = BATCH_LIMITS
  expect(page).toContain(`| records of a batch | ${records.toLocaleString('en')} |`)
  expect(page).toContain(`| entries of a batch | ${entries.toLocaleString('en')} |`)
})
