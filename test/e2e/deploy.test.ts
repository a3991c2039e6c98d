import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startFaucet } from '../../devnet/faucet.js'
import { type LocalFlare, startFlare } from '../../devnet/flare/index.js'
import { type Emulator, startEmulator } from '../../devnet/flow/emulator.js'
import { mainFile, type Ran, runCli } from '../cli/run-cli.js'
import { PATIENTLY } from '../support/patience.js'

// Goal: from two empty networks to everything that a daemon needs, once, whatever breaks off.
// Method: the built program on real engines. It is killed as soon as it has said anything new, again
// and again, until a run says nothing new; then what was sent is counted on both chains.

let dir: string
let flare: LocalFlare
let emulator: Emulator
let faucet: { readonly url: string; stop(): Promise<void> }

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flowmeter-deploy-'))
  emulator = await startEmulator({ dir: join(dir, 'flow'), blockTimeMs: 100 })
  flare = await startFlare({ dir: join(dir, 'flare'), roundSeconds: 3 })
  faucet = await startFaucet({ flare, flow: { client: emulator.client } })
})
afterAll(async () => {
  await faucet?.stop()
  await flare?.stop()
  await emulator?.stop()
  rmSync(dir, { recursive: true, force: true })
})

interface Site {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly gas: string
  readonly deployer: string
}

async function newSite(): Promise<Site> {
  const cwd = mkdtempSync(join(dir, 'site-'))
  const env = {
    FLARE_ENDPOINT: flare.rpcUrl,
    FLOW_NETWORK: 'emulator',
    FLOW_ACCESS_NODE: emulator.restUrl,
  }
  const made = await runCli(['init', '--network', 'emulator', '--json'], { cwd, env })
  const { keys } = JSON.parse(made.stdout) as { keys: { setting: string; public?: string }[] }
  const publicOf = (name: string) => keys.find(({ setting }) => setting === name)?.public ?? ''
  const answer = await fetch(`${faucet.url}/flow/${publicOf('FLOW_DEPLOYER_PRIVATE_KEY')}`)
  const { address: deployer } = (await answer.json()) as { address: string }
  return { cwd, env, gas: publicOf('FLARE_GAS_KEY'), deployer }
}

const drip = ({ gas }: Site) => fetch(`${faucet.url}/flare/${gas}`)

function deploy({ cwd, env }: Site, ...args: string[]): Promise<Ran> {
  return runCli(['deploy', ...args], { cwd, env })
}

/** Kills the program the moment that it says something which is not among `said`, and adds it. */
async function killedAtNews({ cwd, env }: Site, args: string[], said: Set<string>) {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [mainFile, 'deploy', ...args], {
    cwd,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.stderr.on('data', (chunk) => {
    for (const line of String(chunk).split('\n')) {
      // Numbers and ids differ from run to run.
      const what = line.replace(/0x[0-9a-f]+|[0-9a-f]{64}|\d+/g, '…').trim()
      // What it says on its way to its end is news for the next run.
      if (child.killed || what === '' || said.has(what)) continue
      said.add(what)
      child.kill('SIGKILL')
    }
  })
  return new Promise<number | null>((done) => child.once('close', (code) => done(code)))
}

async function nonceOf(address: string): Promise<number> {
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method: 'eth_getTransactionCount',
    params: [address, 'latest'],
  }
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(flare.rpcUrl, { method: 'POST', headers, body: JSON.stringify(body) })
  return Number(((await answer.json()) as { result: string }).result)
}

/** The first policy of a fresh chain is signed by nobody: the second one comes after some rounds. */
async function withCheckpoint(run: () => Promise<Ran>): Promise<Ran> {
  return vi.waitUntil(async () => {
    const ran = await run()
    return /shows the (signing )?policy/.test(ran.stderr) ? undefined : ran
  }, PATIENTLY)
}

const sequenceNumber = async (address: string) =>
  (await emulator.client.accountKey(address, 0)).sequenceNumber

test('a dry run sends nothing and needs no coins; without coins nothing is sent', async () => {
  const site = await newSite()
  const dry = await withCheckpoint(() =>
    deploy(site, '--deployer', site.deployer, '--dry-run', '--json'),
  )
  const report = JSON.parse(dry.stdout) as { steps: { isThere: boolean }[]; problems: string[] }
  expect(dry.code).toBe(78)
  expect(report.steps).toHaveLength(1 + 5 + 2 + 1)
  expect(report.steps.some(({ isThere }) => isThere)).toBe(false)
  expect(report.problems).toEqual([expect.stringMatching(`${site.gas} has 0.* FLR, .* needed`)])
  const real = await deploy(site, '--deployer', site.deployer)
  expect([real.code, real.stderr]).toEqual([78, expect.stringContaining('Nothing was sent')])
  await drip(site)
  expect((await deploy(site, '--deployer', site.deployer, '--dry-run')).code).toBe(0)

  // What is meant for another network is never sent to this one.
  const elsewhere = { ...site, env: { ...site.env, FLOW_NETWORK: 'testnet' } }
  const wrong = await deploy(elsewhere, '--deployer', site.deployer)
  expect([wrong.code, wrong.stderr]).toEqual([78, expect.stringContaining('flow-testnet')])
  const chain = { ...site, env: { ...site.env, FLARE_CHAIN_ID: '14' } }
  const other = await deploy(chain, '--deployer', site.deployer)
  expect([other.code, other.stderr]).toEqual([78, expect.stringContaining('chain 114, not 14')])
  expect([await nonceOf(site.gas), await sequenceNumber(site.deployer)]).toEqual([0, 0n])
})

test('killed at every point, it sends everything once', async () => {
  const site = await newSite()
  await drip(site)
  const args = ['--deployer', site.deployer, '--epochs-kept', '1000']
  const said = new Set<string>()
  let runs = 0
  for (; (await killedAtNews(site, args, said)) !== 0; runs += 1) expect(runs).toBeLessThan(60)
  expect(runs).toBeGreaterThan(15)

  const whole = await deploy(site, '--json')
  const { steps } = JSON.parse(whole.stdout) as { steps: { isThere: boolean }[] }
  expect([whole.code, steps.every(({ isThere }) => isThere)]).toEqual([0, true])
  const { settings } = JSON.parse(
    readFileSync(join(site.cwd, 'flowmeter.config.json'), 'utf8'),
  ) as { settings: Record<string, string> }
  expect(await nonceOf(site.gas)).toBe(1)
  expect(await sequenceNumber(site.deployer)).toBe(7n)
  expect(await sequenceNumber(settings.FLOW_PROVIDER_ADDRESS ?? '')).toBe(2n)
  expect(await sequenceNumber(settings.FLOW_ACCOUNT_ADDRESS ?? '')).toBe(0n)

  // What the daemon would look at is there, and is ours.
  const found = await runCli(['doctor', '--json'], {
    cwd: site.cwd,
    env: { ...site.env, LITELLM_API_URL: 'http://127.0.0.1:9', LITELLM_API_KEY: 'sk' },
  })
  const { findings } = JSON.parse(found.stdout) as {
    findings: { check: string; verdict: string }[]
  }
  const fine = findings.filter(({ verdict }) => verdict === 'ok').map(({ check }) => check)
  expect(fine).toEqual(
    expect.arrayContaining(['flare anchor', 'flow contracts', 'flow meter', 'flow key 0']),
  )
})

test('settings that say otherwise are not written over', async () => {
  const site = await newSite()
  await drip(site)
  writeFileSync(join(site.cwd, 'other.env'), '')
  const env = { ...site.env, FLOW_DEPLOYER_ADDRESS: '0x0000000000000001' }
  const run = await runCli(['deploy', '--deployer', site.deployer], { cwd: site.cwd, env })
  expect(run.code).toBe(78)
  expect(run.stderr).toContain('FLOW_DEPLOYER_ADDRESS is set otherwise in environment')
  expect(await nonceOf(site.gas)).toBe(0)
})
