import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startFaucet } from './faucet.js'
import { startDevnet } from './index.js'

const USAGE = `Usage: npm run devnet -- [options]

  --no-litellm    start none: yours is used
  --dir <folder>  where it keeps its files [.devnet]
`

/** `npm run devnet`: keeps the local network running, for staging, and says how to use it. */
const values = optionsOf()
/** What `flowmeter init` and `flowmeter deploy` make. */
const DEPLOYED =
  /_ADDRESS$|^(FLARE_GAS_KEY|METER_|FLOW_PRIVATE_KEY|FLOW_PROVIDER|FLOW_KEY|RECEIPT_|DATABASE_|LOG_|FLOWMETER_)/

function optionsOf() {
  const options = {
    'no-litellm': { type: 'boolean', default: false },
    dir: { type: 'string', default: '.devnet' },
    help: { type: 'boolean', default: false },
  } as const
  try {
    const { values } = parseArgs({ options })
    if (!values.help) return values
    process.stdout.write(USAGE)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`error: ${(error as Error).message}\n${USAGE}`)
    process.exit(2)
  }
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)

const dir = resolve(values.dir)
const network = await startDevnet({
  dir,
  progress: print,
  flowBlockMs: 1000,
  hasLitellm: !values['no-litellm'],
})
const faucet = await startFaucet(network)
const write = (file: string, names: readonly string[]): void => {
  const lines = names.map((name) => `${name}=${network.env[name]}`)
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
}
write('.env.devnet', Object.keys(network.env))
// For somebody who sets up from nothing: where the network is, and how fast; no key, no contract.
write(
  '.env.network',
  Object.keys(network.env).filter((name) => !DEPLOYED.test(name)),
)

print('')
print(`Flare   ${network.env.FLARE_ENDPOINT}  anchor ${network.flare.anchorAddress}`)
print(`DA      ${network.env.FLARE_DA_URL}  verifier ${network.env.FLARE_VERIFIER_URL}`)
print(`Flow    ${network.env.FLOW_ACCESS_NODE}  contracts ${network.flow.contractsAddress}`)
print(`LiteLLM ${network.env.LITELLM_API_URL ?? 'yours: set LITELLM_API_URL and LITELLM_API_KEY'}`)
print(`faucet  ${faucet.url}/flare/<address>, ${faucet.url}/flow/<public key>`)
for (const { user, strategy, number } of network.vaults) {
  print(`vault   ${number}  for "${user}", by ${strategy}`)
}
print('')
print('The settings of a daemon for it are in .env.devnet. In another terminal:')
print('  cp .env.devnet .env')
for (const { user, number, strategy } of network.vaults) {
  if (strategy === 'directory') print(`  npx flowmeter directory set ${user} ${number}`)
}
print('  npx flowmeter start')
print('Or set up your own contracts on it, as on a public network: docs/operating.md says how,')
print('from .env.network.')
print('Ctrl-C stops the network.')

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(
    name,
    () =>
      void faucet
        .stop()
        .then(() => network.stop())
        .then(() => process.exit(0)),
  )
}
