import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../src/runtime/log.js'
import { learnSecret } from '../../src/runtime/redaction.js'
import { PATIENTLY } from '../support/patience.js'

describe('the log', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flowmeter-log-'))
  })
  afterEach(() => {
    vi.restoreAllMocks()
    rmSync(folder, { recursive: true })
  })

  test('is the same on stdout and in its file: a JSON object a line, without secrets', async () => {
    const shown: string[] = []
    vi.spyOn(process.stdout, 'write').mockImplementation((line) => {
      shown.push(String(line))
      return true
    })
    const file = join(folder, 'deep', 'connector.log')
    learnSecret('canary-of-the-log')
    const log = createLogger({ level: 'info', file })
    log.debug('not told')
    log.info({ key: 'canary-of-the-log' }, 'told')
    log.error({ err: new Error('because of canary-of-the-log') }, 'failed')
    const kept = () => readFileSync(file, 'utf8')
    await vi.waitFor(() => expect(kept().split('\n')).toHaveLength(3), PATIENTLY)
    expect(kept()).toBe(shown.join(''))
    const lines = shown.map((line) => JSON.parse(line))
    expect(lines.map(({ msg }) => msg)).toEqual(['told', 'failed'])
    expect(lines[0]).toMatchObject({ key: '[redacted]' })
    expect(lines[0].time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
    expect(shown.join('')).not.toContain('canary')
  })

  test('is rotated at 10 MB, with nothing lost', async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
    const file = join(folder, 'connector.log')
    writeFileSync(file, `${'x'.repeat(1_023)}\n`.repeat(10 * 1_024))
    createLogger({ level: 'info', file }).info('first of the next file')
    const rotated = () =>
      readdirSync(folder).filter((name) => /^\d{8}-.*-connector\.log$/.test(name))
    // In between there is no file of that name.
    await vi.waitFor(() => {
      expect(rotated()).toHaveLength(1)
      expect(readFileSync(file, 'utf8')).toMatch(/^\{.*first of the next file.*\}\n$/)
    }, PATIENTLY)
    expect(statSync(join(folder, rotated()[0] ?? '')).size).toBe(10 * 1_024 * 1_024)
  })
})
