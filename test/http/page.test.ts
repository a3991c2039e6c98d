import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { accountNumber } from '../../src/domain/ids.js'
import type { Server } from '../../src/http/server.js'
import { createToken } from '../../src/pipeline/access-tokens.js'
import { HOSTILE_MODEL, HOSTILE_USER, PageWorld } from '../support/page-world.js'
import { PATIENCE_MS, PATIENTLY } from '../support/patience.js'

// Goal: an operator sees how it stands, on a screen and on a phone, and nobody's name runs as code.
// Method: a real Chromium at the real server, over a store that the pipeline itself has filled.

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync) ?? ''
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]
/** Written where SCREENSHOTS says, such as docs/images. */
const shots = process.env.SCREENSHOTS
const DESKTOP = { viewport: { width: 1280, height: 900 } }
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }

let world: PageWorld
let server: Server
let browser: Browser
/** What the page asked for, and what it complained of. */
const asked: string[] = []
const complaints: string[] = []

beforeAll(async () => {
  world = await PageWorld.create()
  await world.trouble()
  await world.manageKeys()
  server = await world.serve()
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: PATIENCE_MS })
})
// Also of a test that failed: its page would complain into the next one.
afterEach(async () => {
  for (const context of browser.contexts()) await context.close()
})
afterAll(async () => {
  await browser?.close()
  await world?.remove()
})

async function open(options: BrowserContextOptions, url = server.url): Promise<Page> {
  const page = await browser.newPage(options)
  page.setDefaultTimeout(PATIENCE_MS)
  page.on('request', (request) => asked.push(request.url()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`))
  await page.goto(url)
  return page
}

async function openWhole(options: BrowserContextOptions): Promise<Page> {
  const page = await open(options)
  await page.locator('.live.live').waitFor()
  for (const id of ['usage svg', 'vaults table', 'keys table', 'batches table', 'checks dl']) {
    await page.locator(`#${id}`).first().waitFor()
  }
  return page
}

describe.each([
  ['desktop', DESKTOP],
  ['dark', { ...DESKTOP, colorScheme: 'dark' }],
  ['phone', PHONE],
  ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
] as const)('%s', (name, options) => {
  test('shows all of it, inside of the screen, and asks nobody else', async () => {
    asked.length = 0
    complaints.length = 0
    const page = await openWhole(options)
    const text = await page.locator('body').textContent()
    for (const word of ['settled', 'Vaults', 'Batches', 'batch parked', 'source unreadable']) {
      expect(text).toContain(word)
    }
    const [width, ground] = await page.evaluate<[number, string]>(
      '[document.documentElement.scrollWidth, getComputedStyle(document.documentElement).backgroundColor]',
    )
    expect(width).toBeLessThanOrEqual(options.viewport.width)
    expect(ground).toBe('colorScheme' in options ? 'rgb(13, 20, 21)' : 'rgb(244, 246, 247)')
    expect(asked.filter((url) => !url.startsWith(server.url))).toEqual([])
    expect(complaints).toEqual([])
    if (shots !== undefined) {
      mkdirSync(shots, { recursive: true })
      await page.screenshot({ path: join(shots, `page-${name}.png`) })
    }
  })
})

describe('what it shows', () => {
  test('money to the last digit, as the vault has it', async () => {
    const page = await openWhole(DESKTOP)
    const { items } = (await (await fetch(`${server.url}/v1/vaults`)).json()) as {
      items: { account: string; charged: string; owed: string }[]
    }
    expect(items.map(({ account }) => account)).toEqual(['1', '7', '42', '3110863829004614707'])
    expect(items.every(({ charged }) => /^\d+\.\d{3,}$/.test(charged))).toBe(true)
    const table = await page.locator('#vaults').textContent()
    for (const { charged } of items) expect(table).toContain(`$${charged}`)
    expect(table).toContain(`$${items[2]?.owed}`)
  })

  test('one vault’s periods with their tiers, by the keyboard', async () => {
    const page = await openWhole(DESKTOP)
    const vaults = page.locator('#vaults')
    await vaults.getByRole('button', { name: '42', exact: true }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('Vault 42, period by period').waitFor()
    expect(await page.locator('.detail').textContent()).toMatch(/2026-09-01.*\d\/4/s)
  })

  test('every report, with its numbers as the server has them', async () => {
    complaints.length = 0
    const page = await openWhole(DESKTOP)
    const { kinds } = (await (await fetch(`${server.url}/v1/reports`)).json()) as {
      kinds: string[]
    }
    for (const kind of kinds) {
      // Before the page asks: two at once are refused.
      const { rows, notes, columns } = (await (
        await fetch(`${server.url}/v1/reports/${kind}`)
      ).json()) as {
        rows: Record<string, string | null>[]
        notes: string[]
        columns: { name: string }[]
      }
      await page.locator('#report-kind').selectOption(kind)
      const asked = page.waitForResponse((answer) => answer.url().includes(`/v1/reports/${kind}`))
      await page.getByRole('button', { name: 'Show' }).click()
      await (await asked).finished()
      const column = (columns[0]?.name ?? '').replaceAll('_', ' ')
      const most = kind === 'peak-hours' ? 10 : 50
      // What the report before has left goes when this one comes.
      await vi.waitFor(async () => {
        const text = (await page.locator('#reports .body').textContent()) ?? ''
        for (const wanted of [column, ...notes]) {
          expect([kind, text]).toEqual([kind, expect.stringContaining(wanted)])
        }
        expect(text).not.toContain('3,110,863') // The number of an account is a name.
        const shown = await page.locator('#reports tbody tr').count()
        expect([kind, shown]).toEqual([kind, Math.min(rows.length, most)])
      }, PATIENTLY)
    }
    expect(await page.locator('#reports .hour').count()).toBe(0)
    await page.locator('#report-kind').selectOption('peak-hours')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.locator('#reports .hour').first().waitFor()
    expect(await page.locator('#reports .hour').count()).toBe(7 * 24)
    expect(complaints).toEqual([])
  })

  test('a report of one vault, and what is wrong with a question', async () => {
    const page = await openWhole(PHONE)
    await page.locator('#report-kind').selectOption('models')
    await page.locator('#report-vault').fill('42')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.locator('#reports tbody tr').first().waitFor()
    const vaults = await page.locator('#reports tbody th').allTextContents()
    expect(new Set(vaults)).toEqual(new Set(['42']))
    const width = await page.evaluate<number>('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(PHONE.viewport.width)
    await page.locator('#report-vault').fill('no number')
    await page.getByRole('button', { name: 'Show' }).click()
    expect(await page.locator('#reports .problem').textContent()).toContain('expected a number')
  })

  test('keys with what pays for them: how long it lasts, and why one is blocked', async () => {
    const page = await openWhole(DESKTOP)
    const keys = page.locator('#keys')
    expect(await keys.textContent()).toMatch(
      /2 accounts have keys, 1 of them dry.*1 held for balance/s,
    )
    const blocked = keys.locator('tbody tr', { hasText: 'blocked' })
    expect(await blocked.count()).toBe(1)
    expect(await blocked.textContent()).toMatch(/42.*balance: .* deposit more than/s)
    await keys.getByRole('button', { name: '7', exact: true }).click()
    await page.getByText('Vault 7, period by period').waitFor()
    const detail = await page.locator('.detail').textContent()
    expect(detail).toMatch(/available\$?[\d,.]+.*kept back.*at risk/s)
    expect(detail).toMatch(/budget until 2026-10-22[\d,.]+ left of 1,000 USD/)
    expect(detail).toMatch(/requests a day left\d+ of 1,000/)
  })

  test('another length of time', async () => {
    const page = await openWhole(DESKTOP)
    const before = await page.locator('#usage rect').count()
    await page.getByRole('button', { name: '7 days' }).click()
    await page.waitForFunction(`document.querySelectorAll('#usage rect').length !== ${before}`)
    expect(await page.locator('[data-span="week"]').getAttribute('aria-pressed')).toBe('true')
  })

  test('an alarm’s way to what is to be done', async () => {
    const page = await openWhole(DESKTOP)
    await page.getByRole('link', { name: 'what to do' }).first().click()
    await page.waitForURL('**/runbooks/batch_parked')
    expect(await page.locator('body').textContent()).toContain('flowmeter parked')
  })

  test('news without being asked', async () => {
    const page = await openWhole(DESKTOP)
    const { running } = world
    onTestFinished(() => {
      world.running = running
    })
    world.running = { ...running, storage: { freeBytes: 1, storeBytes: 1 } }
    await page.getByText('disk full').waitFor()
    world.running = running
    await page.getByText('disk full').waitFor({ state: 'detached' })
  })
})

test('hostile names are text, and nothing of them runs', async () => {
  complaints.length = 0
  const page = await openWhole(DESKTOP)
  expect(await page.locator('#waits').textContent()).toContain(HOSTILE_USER)
  expect(await page.locator('#usage').textContent()).toContain(HOSTILE_MODEL)
  const made = await page.locator('main img, main script, [onload], [onerror]').count()
  expect([made, await page.title(), complaints]).toEqual([
    0,
    expect.stringMatching(/Flowmeter$/),
    [],
  ])
})

test('no code runs that is not a file of ours, even if it got into the page', async () => {
  const page = await openWhole(DESKTOP)
  complaints.length = 0
  await page.evaluate(`{
    document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="document.title=1">')
    const script = document.createElement('script')
    script.textContent = 'document.title = 2'
    document.body.append(script)
  }`)
  await expect.poll(() => complaints.length, PATIENTLY).toBeGreaterThanOrEqual(2)
  expect(complaints.every((one) => /Content Security Policy/.test(one))).toBe(true)
  expect(await page.title()).toMatch(/Flowmeter$/)
})

describe('with tokens', () => {
  test('it asks for one; a customer’s shows their vault and nothing else', async () => {
    const guarded = await world.serve({
      config: { host: '127.0.0.1', port: 0, allowedIps: [], requireToken: true },
    })
    const { token } = await createToken(
      { store: world.store, clock: world.world.clock },
      { label: 'a customer', role: 'read', scope: [accountNumber(7n)], expiresAtMs: undefined },
      { by: 'test', reason: 'a customer asked' },
    )
    const page = await open(DESKTOP, guarded.url)
    await page.locator('#token').waitFor()
    await page.locator('#token').fill('fm_of_nobody')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.locator('#sign-in-problem:not(:empty)').waitFor()
    await page.locator('#token').fill(token)
    await page.getByRole('button', { name: 'Show' }).click()
    await page.locator('#vaults table').waitFor()
    await page.locator('#usage svg').waitFor()
    const rows = await page.locator('#vaults tbody th').allTextContents()
    expect(rows).toEqual(['7'])
    await page.getByRole('button', { name: '7', exact: true }).click()
    await page.getByText('Keys of vault 7').waitFor({ state: 'attached' })
    expect(await page.locator('.detail dl').textContent()).toContain('available')
    for (const id of [
      'pipeline',
      'keys',
      'batches',
      'waits',
      'wallets',
      'sources',
      'checks',
      'verdict',
    ]) {
      expect(await page.locator(`#${id}`).isHidden(), id).toBe(true)
    }
    expect(page.url()).not.toContain('fm_')
  })
})
