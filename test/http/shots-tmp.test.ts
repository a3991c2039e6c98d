import { chromium } from 'playwright-core'
import { test } from 'vitest'
import { PageWorld } from '../support/page-world.js'

test('shots', async () => {
  const world = await PageWorld.create()
  await world.trouble()
  const server = await world.serve()
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  for (const [name, opt] of Object.entries({
    desktop: { viewport: { width: 1280, height: 900 } },
    dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
    phone: { viewport: { width: 390, height: 844 }, isMobile: true },
  } as const)) {
    const page = await browser.newPage(opt as never)
    page.on('console', (m) => process.stderr.write(m.text() + '\n'))
    page.on('pageerror', (m) => process.stderr.write('ERR ' + m + '\n'))
    await page.goto(server.url)
    await page.waitForSelector('#batches table')
    await page.waitForSelector('#usage svg')
    await page.waitForSelector('.live.live')
    await page.screenshot({ path: `/tmp/${name}.png`, fullPage: true })
    process.stderr.write(`${name} ${await page.evaluate('document.documentElement.scrollWidth')}\n`)
  }
  await browser.close()
  await world.remove()
})
