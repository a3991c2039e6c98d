import { afterEach, beforeEach, expect, test } from 'vitest'
import { ALL_ACCOUNTS } from '../../src/domain/ids.js'
import type { Ufix64Units } from '../../src/domain/money.js'
import { createRecordRule } from '../../src/operator/index.js'
import { computeChecks } from '../../src/pipeline/checks.js'
import { decideNext } from '../../src/pipeline/decide.js'
import { MeteringWorld, signal } from '../support/metering-world.js'
import { seenOf } from '../support/seen.js'
import { usageRecord } from '../support/usage.js'

let metering: MeteringWorld
beforeEach(async () => {
  metering = await MeteringWorld.create()
})
afterEach(() => metering.remove())

/** Of one answer: after one that took longer, a thread is started, too. */
const LIMIT_MS = 3_000

const RULE = `export function decide(record) {
  if (record.model === 'free') return { exclude: true, reason: 'the free model' }
  if (record.promptTokens > 1000) return { cap: { promptTokens: 1000 }, reason: 'one prompt' }
  if (record.user === '2') throw new Error('no idea')
  if (record.user === '3') for (;;);
  if (record.model === 'more') return { cap: { promptTokens: 1e9 }, reason: 'never raises' }
  if (record.model === 'odd') return { exclude: true }
}`

async function ruleOf(source: string) {
  metering.file('rule.mjs', source)
  const rule = await createRecordRule({ path: 'rule.mjs', timeoutMs: LIMIT_MS }, metering.folder)
  if (rule === undefined) throw new Error('no rule')
  let asked = 0
  const counted: typeof rule = {
    ...rule,
    decide: (record, stop) => {
      asked += 1
      return rule.decide(record, stop)
    },
  }
  const { clock } = metering.world
  const decide = async () => {
    while ((await decideNext({ ...metering.store, rule: counted, clock }, signal)) === 'advanced');
    return asked
  }
  return { rule, decide, settings: metering.settings({}, rule.version) }
}

const none = 0n as Ufix64Units
const nothing = { pool: none, vaultBalances: none, earnings: none }
const checks = async () => computeChecks(metering.store, await seenOf(metering.store, nothing))

test('excludes, caps and holds, each with its reason; batch, totals and checks agree', async () => {
  const { rule, decide, settings } = await ruleOf(RULE)
  await metering.insert(
    usageRecord('plain', { user: '1' }),
    usageRecord('capped', { user: '1', promptTokens: 5_000n, cachedPromptTokens: 3_000n }),
    usageRecord('more', { user: '1', model: 'more' }),
    usageRecord('free', { user: '1', model: 'free' }),
    usageRecord('throws', { user: '2' }),
    usageRecord('loops', { user: '3' }),
    usageRecord('odd', { user: '1', model: 'odd' }),
  )
  // Before the rule has looked, nothing goes past it.
  await metering.seal(settings)
  expect(await metering.store.totals.rows(ALL_ACCOUNTS)).toEqual([])

  expect(await decide()).toBe(7)
  expect(await decide()).toBe(7) // What is decided is not asked again.
  await metering.seal(settings)
  const sum = (await metering.store.totals.rows(ALL_ACCOUNTS)).reduce(
    (all, row) => ({
      prompt: all.prompt + row.promptTokens,
      cached: all.cached + row.cachedPromptTokens,
      requests: all.requests + row.requests,
    }),
    { prompt: 0n, cached: 0n, requests: 0n },
  )
  expect(sum).toEqual({ prompt: 1_200n, cached: 1_040n, requests: 3n })
  expect(await checks()).toMatchObject({ records_vs_totals: 0n, totals_vs_entries: 0n, roots: 0n })
  expect(await metering.store.decisions.counts()).toEqual({ excluded: 1, capped: 1, held: 3 })
  const reasons = (await metering.store.decisions.list(10)).map(({ key, decision }) => [
    key.requestId,
    decision.verdict === 'count' ? '' : `${decision.verdict}: ${decision.reason}`,
  ])
  expect(Object.fromEntries(reasons)).toEqual({
    free: 'exclude: the free model',
    capped: 'cap: one prompt',
    throws: 'hold: Error: no idea',
    loops: `hold: no answer within ${LIMIT_MS} ms`,
    odd: 'hold: it returned neither nothing, nor { exclude } nor { cap }',
  })
  expect((await metering.waiting())['2']).toBe('aggregation rule: Error: no idea')
  // The facts are as LiteLLM logged them.
  expect(await metering.store.records.counts()).toMatchObject({
    records: 7,
    claimed: 3,
    unmapped: 3,
  })
  await rule.close()
})

test('another rule decides anew what waits, and nothing that is in a batch', async () => {
  const first = await ruleOf(RULE)
  await metering.insert(
    usageRecord('sealed', { user: '1', promptTokens: 5_000n }),
    usageRecord('waits', { user: '2' }),
    usageRecord('free', { user: '1', model: 'free' }),
  )
  await first.decide()
  await metering.seal(first.settings)
  await first.rule.close()

  const second = await ruleOf('export const decide = () => undefined')
  expect(second.rule.version).not.toBe(first.rule.version)
  expect(await second.decide()).toBe(2)
  await metering.seal(second.settings)
  const rows = await metering.store.totals.rows(ALL_ACCOUNTS)
  expect(rows.reduce((sum, { promptTokens }) => sum + promptTokens, 0n)).toBe(1_200n)
  expect(rows.reduce((sum, { requests }) => sum + requests, 0n)).toBe(3n)
  expect(await checks()).toMatchObject({ records_vs_totals: 0n, totals_vs_entries: 0n })
  expect(await metering.store.decisions.counts()).toEqual({ excluded: 0, capped: 1, held: 0 })
  await second.rule.close()
})

test('a rule whose file was changed while it ran is not mixed with what it was', async () => {
  const { rule, decide } = await ruleOf(RULE)
  await metering.insert(usageRecord('throws', { user: '2' }))
  await decide() // Throwing ended its thread.
  metering.file('rule.mjs', 'export const decide = () => undefined')
  await metering.insert(usageRecord('later', { user: '1' }))
  await expect(decide()).rejects.toMatchObject({ code: 'module_changed' })
  expect(await metering.store.decisions.counts()).toMatchObject({ held: 1 })
  await rule.close()
})
