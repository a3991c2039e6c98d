import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startDevnet } from './index.js'

/** `npm run devnet`: keeps the local network running, for staging, and says how to use it. */
const { values } = parseArgs({
  options: {
    'no-litellm': { type: 'boolean', default: false },
    dir: { type: 'string', default: '.devnet' },
  },
})
const print = (line: string): void => void process.stdout.write(`${line}\n`)

const dir = resolve(values.dir)
const network = await startDevnet({
  dir,
  progress: print,
  flowBlockMs: 1000,
  hasLitellm: !values['no-litellm'],
})
const lines = Object.entries(network.env).map(([name, value]) => `${name}=${value}`)
writeFileSync('.env.devnet', `${lines.join('\n')}\n`, { mode: 0o600 })

print('')
print(`Flare   ${network.env.FLARE_ENDPOINT}  anchor ${network.flare.anchorAddress}`)
print(`DA      ${network.env.FLARE_DA_URL}  verifier ${network.env.FLARE_VERIFIER_URL}`)
print(`Flow    ${network.env.FLOW_ACCESS_NODE}  contracts ${network.flow.contractsAddress}`)
print(`LiteLLM ${network.env.LITELLM_API_URL ?? 'yours: set LITELLM_API_URL and LITELLM_API_KEY'}`)
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
print('Ctrl-C stops the network.')

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => void network.stop().then(() => process.exit(0)))
}
