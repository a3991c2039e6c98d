import { describe, expect, test } from 'vitest'
import { allot, change, percent } from '../../src/domain/share.js'
import { formatReport } from '../../src/reports/format.js'
import { questionOf, type Report } from '../../src/reports/report.js'

const NOW_MS = Date.parse('2026-11-29T12:00:00Z')

function reportOf(payer: string): Report {
  return {
    kind: 'users',
    at: '2026-11-29T12:00:00.000Z',
    from: '2026-11-01T00:00:00.000Z',
    until: '2026-11-29T00:00:00.000Z',
    columns: [
      { name: 'payer', means: 'who' },
      { name: 'tokens', means: 'how many' },
      { name: 'trend_percent', means: 'which way' },
    ],
    rows: [{ payer, tokens: 2n ** 64n, trend_percent: '-12.50' }],
    isCut: false,
    notes: [],
  }
}

function csvPayer(payer: string): string {
  const text = formatReport(reportOf(payer), 'csv')
  return text.slice(text.indexOf('\r\n') + 2, text.lastIndexOf(',18446744073709551616'))
}

describe('CSV', () => {
  // The attack: a user who names themselves so that the operator's spreadsheet runs it.
  test.each([
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
    ['+1+cmd|calc', '"\'+1+cmd|calc"'],
    ['-1+cmd|calc', '"\'-1+cmd|calc"'],
    ['@SUM(A1)', '"\'@SUM(A1)"'],
    ['\t=1', '"\'\t=1"'],
    [' =1+1', '"\' =1+1"'],
    ['＝1+1', '"\'＝1+1"'],
  ])('a cell %j is text to a spreadsheet', (payer, cell) => {
    expect(csvPayer(payer)).toBe(cell)
  })

  test.each([
    ['alice', 'alice'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\nlines', '"two\nlines"'],
    ['', ''],
  ])('a cell %j is written as RFC 4180 has it', (payer, cell) => {
    expect(csvPayer(payer)).toBe(cell)
  })

  test('a negative number of ours stays a number', () => {
    expect(formatReport(reportOf('alice'), 'csv')).toBe(
      'payer,tokens,trend_percent\r\nalice,18446744073709551616,-12.50\r\n',
    )
  })
})

test('Markdown: no name of a user ends the table or becomes a link', () => {
  const text = formatReport(reportOf('a | b\n| [x](http://y) <img>'), 'markdown')
  expect(text).toContain('| a \\| b \\| \\[x\\]\\(http://y\\) \\<img\\> | 18446744073709551616 |')
})

test('JSON: large integers are text', () => {
  const report = JSON.parse(formatReport(reportOf('alice'), 'json')) as Report
  expect(report.rows).toEqual([
    { payer: 'alice', tokens: '18446744073709551616', trend_percent: '-12.50' },
  ])
})

describe('a question', () => {
  const ask = (asked: object, kind = 'users') => questionOf(kind, asked, NOW_MS, 'user')

  test('is about the last 28 days unless told', () => {
    expect(ask({})).toEqual({
      kind: 'users',
      payerField: 'user',
      fromMs: NOW_MS - 28 * 86_400_000,
      untilMs: NOW_MS,
    })
  })

  test.each([
    [{ from: '2026-11-30' }, 'before to'],
    [{ from: '2024-01-01' }, '400 days'],
    [{ from: 'yesterday' }, 'UTC date'],
    [{ to: '2026-13-01' }, 'UTC date'],
    [{ by: 'spend' }, 'by: expected one of'],
  ])('%j is refused, saying what is expected', (asked, told) => {
    expect(ask(asked)).toContain(told)
  })

  test('of a kind that there is not names those that there are', () => {
    expect(ask({}, 'profits')).toContain('peak-hours')
  })
})

describe('shares', () => {
  test('add up to what is shared, however it rounds', () => {
    expect(allot(10n, [1n, 1n, 1n])).toEqual([4n, 3n, 3n])
    expect(allot(7n, [0n, 0n])).toEqual([7n, 0n])
    expect(allot(100n, [1n, 0n, 199n])).toEqual([1n, 0n, 99n])
    expect(allot(5n, [])).toEqual([])
  })

  test('percent', () => {
    expect([percent(1n, 3n), percent(-1n, 3n), percent(1n, 0n)]).toEqual([
      '33.33',
      '-33.33',
      undefined,
    ])
    expect([change(200n, 100n), change(0n, 100n)]).toEqual(['-50.00', undefined])
  })
})
