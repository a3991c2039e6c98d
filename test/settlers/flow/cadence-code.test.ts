import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isSameCode } from '../../../src/settlers/flow/cadence-code.js'
import { root } from '../../cli/run-cli.js'

const CODE =
  'access(all) contract A { access(all) let p: Path; let s: String; init() { self.s = "x" } }'

describe('the same code', () => {
  test.each([
    ['a comment at the end of a line', `${CODE} // says\nlet b = 1`, `${CODE}\nlet b = 1`],
    ['a comment of several lines', `/* one\n two */ ${CODE}`, CODE],
    ['comments in comments', `/* a /* b */ c */${CODE}`, CODE],
    ['a quote in a comment', `/* it's "so */ ${CODE} // "`, CODE],
    ['spaces', CODE.replaceAll(' ', '\n\t '), CODE],
  ])('%s', (_what, one, other) => {
    expect(isSameCode(one, other)).toBe(true)
  })
})

describe('other code', () => {
  test.each([
    ['a word', CODE.replace('"x"', '"y"'), CODE],
    ['a space in a string', CODE.replace('"x"', '"x "'), CODE],
    [
      'what looks like a comment in a string',
      `let a = "/*"; ${CODE} let b = "*/"`,
      'let a = "/*"; let b = "*/"',
    ],
    ['two slashes in a string', `let a = "//b"\n${CODE}`, 'let a = "//'],
    ['a quote behind a backslash', 'let a = "\\"// b"; let c = 1', 'let a = "\\"'],
    ['two words become one', 'let ab = 1', 'let a b = 1'],
    ['code behind a comment that a line end closes', 'let a = 1 // x\rlet b = 2', 'let a = 1'],
    ['code behind a nested comment', '/* /* */ */ let a = 1', '/* /* */ */'],
    ['what is in a comment of one alone', 'let a = 1 /* b */', 'let a = 1 b'],
    ['a comment without an end', 'let a = 1 /* b', 'let a = 1'],
  ])('%s', (_what, one, other) => {
    expect(isSameCode(one, other)).toBe(false)
  })
})

// Goal: it holds for the contracts that are compared. Method: strip each of comments by a way of its
// own (lines that begin with one), and change each in one place that is code.
test.each(readdirSync(join(root, 'cadence/contracts')).filter((name) => name.endsWith('.cdc')))(
  '%s',
  (name) => {
    const source = readFileSync(join(root, 'cadence/contracts', name), 'utf8')
    const bare = source.replace(/^\s*\/\/.*$/gm, '')
    expect(bare).not.toBe(source)
    expect(isSameCode(source, bare)).toBe(true)
    expect(isSameCode(source, source.replace('access(all)', 'access(self)'))).toBe(false)
  },
)
