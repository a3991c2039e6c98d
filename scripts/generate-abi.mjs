// Writes src/attestors/flare/abi.ts and anchor-code.ts: the parts of Flare's ABIs that the daemon
// uses, taken from Flare's published artifacts, and our own anchor as compiled here. Both files are
// committed, so that the daemon needs neither a compiler nor the artifacts at run time.
// With --check nothing is written; the exit code is 1 when a file is stale.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Interface, keccak256 } from 'ethers'
import { compileContracts, readArtifact } from './compile-contracts.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const artifacts = '@flarenetwork/flare-periphery-contract-artifacts'

/** What the daemon speaks to on Flare, and of each contract the members that it uses. */
const wanted = [
  ['flareContractRegistryAbi', 'IFlareContractRegistry', ['getContractAddressByName']],
  [
    'flareSystemsManagerAbi',
    'IFlareSystemsManager',
    [
      'firstRewardEpochStartTs',
      'firstVotingRoundStartTs',
      'getCurrentRewardEpochId',
      'getStartVotingRoundId',
      'rewardEpochDurationSeconds',
      'signNewSigningPolicy',
      'SigningPolicySigned',
      'votingEpochDurationSeconds',
    ],
  ],
  ['fdcHubAbi', 'IFdcHub', ['AttestationRequest', 'requestAttestation']],
  ['fdcRequestFeeConfigurationsAbi', 'IFdcRequestFeeConfigurations', ['getRequestFee']],
  ['fdcVerificationAbi', 'IFdcVerification', ['relay', 'verifyEVMTransaction']],
  [
    'relayAbi',
    'IRelay',
    [
      'getVotingRoundId',
      'isFinalized',
      'lastInitializedRewardEpochData',
      'merkleRoots',
      'ProtocolMessageRelayed',
      'relay',
      'SigningPolicyInitialized',
      'startingVotingRoundIds',
      'stateData',
      'toSigningPolicyHash',
    ],
  ],
  ['submissionAbi', 'ISubmission', ['submitSignatures']],
]

function flareAbi(name) {
  const path = join(root, 'node_modules', artifacts, 'coston2/artifacts/contracts', `${name}.sol`)
  return JSON.parse(readFileSync(join(path, `${name}.json`), 'utf8'))
}

/** Human-readable fragments: a reader sees the signature, and ethers parses it. */
function lines(abi, members) {
  const missing = members?.filter((name) => !abi.some((item) => item.name === name)) ?? []
  if (missing.length > 0) throw new Error(`not in the artifacts: ${missing.join(', ')}`)
  const picked = members === undefined ? abi : abi.filter((item) => members.includes(item.name))
  return new Interface(picked).format(false).map((line) => `  '${line}',`)
}

function constant(name, source, abi, members) {
  const body = lines(abi, members).join('\n')
  return `/** ${source} */\nexport const ${name} = [\n${body}\n] as const\n`
}

const NOTICE = '// Written by scripts/generate-abi.mjs. Do not edit.'

function abiFile() {
  const version = JSON.parse(
    readFileSync(join(root, 'node_modules', artifacts, 'package.json'), 'utf8'),
  ).version
  const parts = wanted.map(([name, contract, members]) =>
    constant(name, `${contract} of ${artifacts} ${version}, Coston2.`, flareAbi(contract), members),
  )
  const anchor = readArtifact('UsageAnchor').abi
  const own = constant('usageAnchorAbi', 'contracts/UsageAnchor.sol, whole.', anchor, undefined)
  return [NOTICE, own, ...parts].join('\n')
}

function codeFile() {
  const { bytecode, deployedBytecode, immutables } = readArtifact('UsageAnchor')
  const masked = Buffer.from(deployedBytecode.slice(2), 'hex')
  for (const [start, length] of immutables) masked.fill(0, start, start + length)
  const comment = '/** What deploys contracts/UsageAnchor.sol, which takes no arguments. */'
  const creation = `export const usageAnchorCreationCode =\n  '${bytecode}'\n`
  const deployed = `/** What then lies on chain: its keccak without what the constructor wrote into it, and where. */
export const usageAnchorDeployed = { hash: '${keccak256(masked)}', immutables: ${JSON.stringify(immutables)} } as const\n`
  return `${NOTICE}\n\n${comment}\n${creation}\n${deployed}`
}

/** As Biome writes it, so that the generated file passes the same check as all others. */
function formatted(path, text) {
  const biome = join(root, 'node_modules', '.bin', 'biome')
  const run = spawnSync(biome, ['format', `--stdin-file-path=${path}`], { cwd: root, input: text })
  if (run.status !== 0) throw new Error(`biome: ${run.stderr}`)
  return run.stdout.toString()
}

compileContracts()
const isCheck = process.argv.includes('--check')
for (const [name, text] of [
  ['abi.ts', abiFile()],
  ['anchor-code.ts', codeFile()],
]) {
  const path = `src/attestors/flare/${name}`
  const fresh = formatted(path, text)
  if (!isCheck) {
    writeFileSync(join(root, path), fresh)
  } else if (readFileSync(join(root, path), 'utf8') !== fresh) {
    console.error(`${path} is stale: run node scripts/generate-abi.mjs`)
    process.exitCode = 1
  }
}
