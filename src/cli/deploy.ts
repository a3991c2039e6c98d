import { Command } from 'commander'
import { formatUfix64 } from '../domain/money.js'
import type { DeploymentTerms, Survey } from '../ports/deployer.js'
import { type DeskParts, told } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type DeployParts = Pick<CliParts, 'print'> & Pick<DeskParts, 'readDeployment' | 'openDeployer'>

interface Options {
  readonly network?: string
  readonly dryRun?: true
  readonly json?: true
}

/** Looks first, and stops where what is there is not what is meant to be there. */
export function deployCommand({ print, readDeployment, openDeployer }: DeployParts): Command {
  return new Command('deploy')
    .description('Put the contracts on an account, with FLOW_DEPLOYER_ADDRESS and …_PRIVATE_KEY')
    .argument('<file>', 'the terms of the deployment: see docs/vaults.md')
    .option('--network <network>', 'testnet, mainnet or emulator; FLOW_NETWORK unless told')
    .option('--dry-run', 'only look, and say what would be done; needs no key')
    .option('--json', 'print one JSON object')
    .action(async (file: string, options: Options, command: Command) => {
      const parsed = await readDeployment(file)
      if (!parsed.ok) {
        const problems = parsed.problems.map((problem) => `  - ${problem}`).join('\n')
        command.error(`error: ${file} has problems:\n${problems}`, { exitCode: 2 })
      }
      const { terms } = parsed
      const isDry = options.dryRun === true
      const network = networkOf(options.network, command)
      const { desk, signal } = await openDeployer({ hasKey: !isDry, ...network })
      await told(command, async () => {
        const before = await desk.survey(terms, signal)
        const missing = before.contracts.filter(({ state }) => state === 'missing')
        if (isDry || isWrong(before)) {
          print(options.json ? toJson({ ...jsonOf(before), sent: 0 }) : surveyText(before, terms))
        }
        if (isWrong(before)) {
          const why = 'what is there is not what this file asks for: see above. Nothing was sent.'
          command.error(`error: ${why}`, { exitCode: 2 })
        }
        if (isDry) return
        for (const { name } of missing) await desk.deploy(name, terms, signal)
        const after = await desk.survey(terms, signal)
        const sent = missing.length
        print(options.json ? toJson({ ...jsonOf(after), sent }) : surveyText(after, terms))
        if (isWrong(after) || after.contracts.some(({ state }) => state !== 'same')) {
          command.error('error: the deployment is not complete: see above', { exitCode: 2 })
        }
      })
    })
}

/** As Flow itself names them, or without its `flow-`. */
function networkOf(text: string | undefined, command: Command): { readonly network?: string } {
  if (text === undefined) return {}
  const network = text.replace(/^flow-/, '')
  if (['testnet', 'mainnet', 'emulator'].includes(network)) return { network }
  const fix = 'Use testnet, mainnet or emulator.'
  return command.error(`error: there is no network "${text}". ${fix}`, { exitCode: 2 })
}

/** Other code may be an older version of ours: to update it is an act of its own. */
function isWrong({ contracts, differences }: Survey): boolean {
  return differences.length > 0 || contracts.some(({ state }) => state === 'other')
}

function jsonOf(survey: Survey) {
  return { ...survey, balance: formatUfix64(survey.balance) }
}

const STATES = {
  missing: 'to be deployed',
  same: 'is there',
  other: 'IS THERE WITH OTHER CODE',
} as const

function surveyText(survey: Survey, terms: DeploymentTerms): string {
  const { network, address, balance, contracts, differences } = survey
  const policyBytes = (terms.checkpoint.length - 2) / 2
  return [
    `${address} on Flow ${network}, with ${formatUfix64(balance)} FLOW`,
    `proofs of Flare chain ${terms.flareChainId}, anchored by ${terms.anchor}`,
    `trusted from the start: a signing policy of ${policyBytes} bytes`,
    ...contracts.map(({ name, bytes, state }) => `  ${name} (${bytes} bytes): ${STATES[state]}`),
    ...differences.map((difference) => `  DIFFERENT: ${difference}`),
  ].join('\n')
}
