import { describe, expect, test } from 'vitest'
import { accountOfSubject, byokOf, readSubject } from '../../src/domain/budget-subject.js'
import { mayOpenByok } from '../../src/domain/byok.js'
import { accountNumber } from '../../src/domain/ids.js'

const LAST = 2n ** 64n - 1n

describe('whose budget', () => {
  test.each(['0', '7', `${LAST}`, '7-byok', `${LAST}-byok`, 'operator'])('%s is read', (text) => {
    const subject = readSubject(text)
    if (subject === undefined) throw new Error('it is one')
    expect(`${subject}`).toBe(text)
    const account = text === 'operator' ? undefined : BigInt(text.replace('-byok', ''))
    expect(accountOfSubject(subject)).toBe(account)
  })

  test.each(['', '07', '-byok', '07-byok', '7-BYOK', '7-byok-byok', `${LAST + 1n}-byok`, 'x'])(
    '%j is nobody’s',
    (text) => expect(readSubject(text)).toBeUndefined(),
  )

  test('of an account’s own provider’s keys is that account’s', () => {
    expect(byokOf(accountNumber(7n))).toBe('7-byok')
  })
})

// Goal: no key that could be used for such a model is let go on as one that could not.
describe('a key may open models with its own provider’s key', () => {
  const patterns = ['byok/*', 'mine']
  test.each([
    [[], true],
    [['gpt-4', 'byok/gpt-4'], true],
    [['mine'], true],
    [['byok/*'], true],
    [['byok/gpt*'], true],
    [['b*'], true],
    [['*'], true],
    [['all-proxy-models'], true],
    [['gpt-4'], false],
    [['mine-too', 'byok', 'min'], false],
    [['gpt*'], false],
  ])('%j: %s', (models, may) => {
    expect(mayOpenByok(models, patterns)).toBe(may)
    expect(mayOpenByok(models, [])).toBe(false)
  })
})
