import { Command } from 'commander'
import { formatUfix64 } from '../domain/money.js'
import type { DeploymentTerms, Survey } from '../ports/deployer.js'
import { reportText } from './deploy-all.js'
import { flowAddress } from './desk-arguments.js'
import { type DeskParts, told, wholeNumber } from './desk-parts.js'
import { type CliParts, toJson } from './parts.js'

type DeployParts = Pick<CliParts, 'print'> &
  Pick<DeskParts, 'readDeployment' | 'openDeployer' | 'deployAll'>

const EPOCHS_KEPT_MAX = 100_000

interface Options {
  readonly network?: string
  readonly deployer?: string
  readonly epochsKept: string
  readonly dryRun?: true
  readonly json?: true
}

/** Looks first, and stops where what is there is not what is meant to be there. */
export function deployCommand(parts: DeployParts): Command {
  const { print, readDeployment, openDeployer } = parts
  return new Command('deploy')
    .description(
      'Put the anchor on Flare, the contracts and accounts on Flow; run again, it goes on',
    )
    .argument('[file]', 'terms of your own for the contracts on Flow alone: see docs/vaults.md')
    .option('--deployer <address>', 'account on Flow for the contracts; FLOW_DEPLOYER_ADDRESS')
    .option('--epochs-kept <number>', 'signing policies that the light client keeps', '28')
    .option('--network <network>', 'testnet, mainnet or emulator; FLOW_NETWORK unless told')
    .option('--dry-run', 'only look, and say what would be done; needs no key')
    .option('--json', 'print one JSON object')
    .action(async (file: string | undefined, options: Options, command: Command) => {
      if (file === undefined) return deployEverything(parts, options, command)
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

async function deployEverything(
  { print, deployAll }: DeployParts,
  options: Options,
  command: Command,
): Promise<void> {
  const { deployer, epochsKept, network } = options
  if (network !== undefined) {
    const fix = 'The network is that of the settings: see "flowmeter init --network".'
    command.error(`error: --network goes with a file. ${fix}`, { exitCode: 2 })
  }
  const kept = Number(wholeNumber(epochsKept, command))
  if (kept < 2 || kept > EPOCHS_KEPT_MAX) {
    command.error(`error: --epochs-kept is from 2 to ${EPOCHS_KEPT_MAX}`, { exitCode: 2 })
  }
  const address = deployer === undefined ? undefined : flowAddress(deployer, command)
  const isDry = options.dryRun === true
  const report = await told(command, () =>
    deployAll({ isDry, epochsKept: kept, ...(address === undefined ? {} : { deployer: address }) }),
  )
  print(options.json ? toJson(report) : reportText(report))
  if (report.problems.length > 0) {
    command.error('error: it would be refused: see above', { exitCode: 78 })
  }
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
