import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Fragment, FunctionFragment, Interface, type JsonFragment } from 'ethers'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Artifact, compiledContracts, repositoryRoot } from '../../devnet/flare/artifacts.js'
import * as daemon from '../../src/attestors/flare/abi.js'
import { usageAnchorCreationCode } from '../../src/attestors/flare/anchor-code.js'
import { vectors } from './relay-vectors.js'

// Goal: the daemon cannot tell the stand-ins from Flare's contracts by what it may call.
// Method: compare each stand-in, as compiled, with the ABI that Flare publishes.

const published = join(
  dirname(
    createRequire(import.meta.url).resolve(
      '@flarenetwork/flare-periphery-contract-artifacts/package.json',
    ),
  ),
  'coston2/artifacts/contracts',
)

let artifact: (name: string) => Artifact

beforeAll(async () => {
  artifact = await compiledContracts()
})

function flareAbi(name: string): Interface {
  const path = join(published, `${name}.sol`, `${name}.json`)
  return new Interface(JSON.parse(readFileSync(path, 'utf8')) as JsonFragment[])
}

/** What a caller depends on: types, outputs, and which inputs of an event are indexed. */
function callable(abi: Interface): string[] {
  return abi.fragments.filter((one) => one.type === 'function' || one.type === 'event').map(plain)
}

function plain(fragment: Fragment): string {
  if (!(fragment instanceof FunctionFragment))
    return fragment.format('sighash') + indexedOf(fragment)
  const outputs = fragment.outputs.map((output) => output.format('sighash')).join(',')
  return `${fragment.format('sighash')} -> ${outputs}`
}

function indexedOf(fragment: Fragment): string {
  return ` ${fragment.inputs.map(({ indexed }) => (indexed ? 'i' : '-')).join('')}`
}

interface StandIn {
  readonly name: string
  /** What it has and Flare's does not: how the local network is set up. */
  readonly own: readonly string[]
  /** What Flare's has and it does not. */
  readonly lacks?: (line: string) => boolean
}

const standIns: readonly StandIn[] = [
  {
    name: 'FlareContractRegistry',
    own: ['governance() -> address', 'register(string,address) -> '],
  },
  {
    name: 'FlareSystemsManager',
    own: ['initialiseNextSigningPolicy(address[],uint16[],uint256) -> bytes32'],
    // Events about uptime and rewards, which it never emits.
    lacks: (line) => / [i-]+$/.test(line) && !line.startsWith('SigningPolicySigned'),
  },
  { name: 'FdcHub', own: [], lacks: (line) => / [i-]+$/.test(line) && !line.startsWith('Attest') },
  {
    name: 'FdcRequestFeeConfigurations',
    own: ['setTypeAndSourceFee(bytes32,bytes32,uint256) -> '],
    lacks: (line) => line.startsWith('TypeAndSourceFeeRemoved'),
  },
  {
    name: 'FdcVerification',
    own: [],
    lacks: (line) => line.startsWith('verify') && !line.startsWith('verifyEVMTransaction'),
  },
  // Events of rounds, which it never emits.
  { name: 'Submission', own: [], lacks: (line) => line.startsWith('NewVotingRound') },
  {
    name: 'Relay',
    own: ['setSigningPolicy((uint24,uint32,uint16,uint256,address[],uint16[])) -> bytes32'],
  },
]

describe.each(standIns)('$name', ({ name, own, lacks = () => false }) => {
  test('has what Flare publishes, and little else', () => {
    const ours = callable(new Interface(artifact(name).abi))
    const theirs = callable(flareAbi(`I${name}`))
    expect(ours.filter((line) => !theirs.includes(line)).sort()).toEqual([...own].sort())
    expect(theirs.filter((line) => !ours.includes(line) && !lacks(line))).toEqual([])
  })
})

describe('the ABIs of the daemon', () => {
  test('are those of the artifacts and of our compiler', () => {
    const script = join(repositoryRoot(), 'scripts', 'generate-abi.mjs')
    // Exits with 1, and names the stale file, where one is not up to date.
    execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })
    expect(usageAnchorCreationCode).toBe(artifact('UsageAnchor').bytecode)
  })

  test('have the selectors and topics of the vectors', () => {
    const all = new Interface(Object.values(daemon).flat())
    const { SigningPolicyRelayed: _onMirrorsOnly, ...topics } = vectors.topics
    for (const [name, topic] of Object.entries(topics)) {
      expect([name, all.getEvent(name)?.topicHash]).toEqual([name, topic])
    }
    for (const [name, selector] of Object.entries(vectors.selectors)) {
      expect([name, all.getFunction(name)?.selector]).toEqual([name, selector])
    }
  })
})
