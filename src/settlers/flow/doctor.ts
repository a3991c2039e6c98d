import { targetOf } from '../../domain/batch.js'
import type { Hex } from '../../domain/bytes.js'
import { ConfigError, RetryableError } from '../../domain/errors.js'
import { formatUfix64 } from '../../domain/money.js'
import type { Finding } from '../../ports/finding.js'
import type { KeySigner } from '../../ports/key-signer.js'
import { openSigner } from '../../signers/index.js'
import { CadenceFiles, CONTRACTS } from './cadence.js'
import { isSameCode } from './cadence-code.js'
import { FlowClient } from './client.js'
import { type FlowConfig, flowSettings, nodesOf } from './config.js'
import { address, uint } from './json-cadence.js'
import * as view from './parse.js'
import { checkKey } from './signing.js'
import { contractKeys, governors, type TrustedKeys, trustedKeysView } from './trusted-keys.js'

/** Percent of the contract account's storage. What is left has to last until somebody looks again. */
const STORAGE_PERCENT_MAX = 80n

/** A settlement that fills a transaction costs 0.4 FLOW; this is a handful of them. */
const BALANCE_MIN = 200_000_000n

/** What the settings of the attestor say of what the contracts were told; undefined: not known. */
export interface ExpectedElsewhere {
  /** 20 bytes. */
  readonly anchor?: Hex | undefined
  readonly meter?: Hex | undefined
}

interface Patient {
  readonly client: FlowClient
  readonly files: CadenceFiles
  readonly config: FlowConfig
  readonly signer: KeySigner
  readonly signal: AbortSignal
  readonly expected: ExpectedElsewhere
}

/** What one look found. A `fix` says that it is not well, or with `isWarning` that it may be. */
interface Found {
  readonly detail: string
  readonly fix?: string
  readonly isWarning?: boolean
}

type Look = (patient: Patient) => Promise<Found>

const LOOKS: readonly (readonly [name: string, look: Look])[] = [
  ['flow account', lookAtBalance],
  ['flow contracts', lookAtContracts],
  ['flow target', lookAtTarget],
  ['flow provider', lookAtProvider],
  ['flow meter', lookAtMeter],
  ['flow light client', lookAtLightClient],
  ['flow contract storage', lookAtStorage],
  ['flow contract keys', lookAtContractKeys],
  ['flow governors', lookAtGovernors],
]

/**
 * Looks at all that settlement needs, and says what to mend. What cannot be looked at is a check
 * that is not ok; only a bug throws.
 */
export async function examineFlow(
  config: FlowConfig,
  signal: AbortSignal,
  expected: ExpectedElsewhere = {},
): Promise<readonly Finding[]> {
  const { keyIndexes } = config
  const client = new FlowClient(nodesOf(config))
  const files = new CadenceFiles(config)
  const signer = openSigner(config.privateKey, flowSettings.privateKey.env)
  const patient: Patient = { client, files, config, signer, signal, expected }
  const keyLooks = keyIndexes.map((keyIndex) => {
    const look: Look = (same) => lookAtKey(same, keyIndex)
    return [`flow key ${keyIndex}`, look] as const
  })
  const node = await examine('flow access node', lookAtNode, patient)
  const isOut = node.verdict === 'broken' && node.fix !== OTHER_NETWORK
  if (isOut) return [{ ...node, fix: `${node.fix} ${ALONE}` }]
  const checks = [node]
  // One after the other: public nodes take few scripts a second.
  for (const [name, look] of [...LOOKS.slice(0, 1), ...keyLooks, ...LOOKS.slice(1)]) {
    checks.push(await examine(name, look, patient))
  }
  return checks
}

async function examine(check: string, look: Look, patient: Patient): Promise<Finding> {
  try {
    const { detail, fix, isWarning } = await look(patient)
    if (fix === undefined) return { check, verdict: 'ok', says: detail }
    return { check, verdict: isWarning ? 'warning' : 'broken', says: detail, fix }
  } catch (error) {
    if (!(error instanceof RetryableError || error instanceof ConfigError)) throw error
    return { check, verdict: 'broken', says: error.message, fix: fixOf(error.code) }
  }
}

const OTHER_NETWORK = 'Make FLOW_ACCESS_NODE and FLOW_NETWORK name the same network.'
/** Ten broken things more would each have a fix that mends nothing. */
const ALONE = 'Then look again: nothing else on Flow can be seen without it.'

async function lookAtNode({ client, config, signal }: Patient): Promise<Found> {
  const chainId = await client.chainId(signal)
  const expected = `flow-${config.network}`
  if (chainId !== expected) {
    const detail = `the node is of ${chainId}, the settings of ${expected}`
    return { detail, fix: OTHER_NETWORK }
  }
  const height = await client.sealedHeight(signal)
  return { detail: `${chainId}, sealed block ${height}` }
}

async function lookAtBalance({ client, config, signal }: Patient): Promise<Found> {
  const { accountAddress: address } = config
  const balance = await client.balance(address, signal)
  const detail = `${address} has ${formatUfix64(balance)} FLOW`
  return balance >= BALANCE_MIN ? { detail } : { detail, fix: `Send FLOW to ${address}.` }
}

async function lookAtKey(
  { client, config, signer, signal }: Patient,
  keyIndex: number,
): Promise<Found> {
  const { accountAddress: address } = config
  const key = await client.accountKey(address, keyIndex, signal)
  const curve = await checkKey(signer, key, `key ${keyIndex} of ${address}`, signal)
  await signer.check(curve, signal)
  const algorithms = `${key.signingAlgorithm} with ${key.hashingAlgorithm}`
  return {
    detail: `${algorithms}, sequence number ${key.sequenceNumber}; the key is ${signer.where}`,
  }
}

async function lookAtContracts({ client, files, config, signal }: Patient): Promise<Found> {
  const { contractsAddress: address } = config
  const there = await client.contracts(address, signal)
  const missing = CONTRACTS.filter((name) => !there.has(name))
  if (missing.length > 0) {
    const fix = 'Set FLOW_CONTRACTS_ADDRESS, or deploy them ("flowmeter deploy").'
    return { detail: `${address} has no ${missing.join(', ')}`, fix }
  }
  const other = CONTRACTS.filter((name) => there.get(name) !== files.contract(name))
  if (other.length === 0) return { detail: `all are on ${address}, with the code of this release` }
  if (other.every((name) => isSameCode(there.get(name) ?? '', files.contract(name)))) {
    const names = other.join(', ')
    return {
      detail: `all are on ${address}, with the code of this release; comments of ${names} differ`,
    }
  }
  const fix =
    'Compare them with cadence/contracts of the release that was deployed. If nobody of yours ' +
    'updated them, stop the daemon.'
  const changed = other.filter((name) => !isSameCode(there.get(name) ?? '', files.contract(name)))
  return { detail: `${changed.join(', ')} on ${address}: not the code of this release`, fix }
}

async function lookAtTarget(patient: Patient): Promise<Found> {
  const { network, contractsAddress } = patient.config
  const { name, hash, anchor } = await run(patient, 'get_target', [], view.targetView)
  const detail = `${name}, anchored by 0x${anchor}`
  const { anchor: expected } = patient.expected
  if (expected !== undefined && expected !== `0x${anchor}`) {
    const fix = 'Set FLARE_ANCHOR_ADDRESS to the anchor that the contracts were deployed for.'
    return { detail: `${detail}, but the settings name ${expected}`, fix }
  }
  if (hash === targetOf(network, contractsAddress)) return { detail }
  const fix = 'Set FLOW_NETWORK to the network that UsageBatches was deployed for.'
  return { detail, fix }
}

async function lookAtProvider(patient: Patient): Promise<Found> {
  const { providerId } = patient.config
  const args = [uint('UInt64', providerId)]
  const provider = await run(patient, 'get_provider', args, view.providerView)
  if (provider === null) {
    const fix =
      'Set FLOW_PROVIDER_ID to the number that "flowmeter deploy" or "provider set-up" printed.'
    return { detail: `there is no provider ${providerId}`, fix }
  }
  const { vaults, plans } = provider
  const detail = `provider ${providerId}: vaults ${vaults}, plans ${plans.length}`
  return plans.length > 0 ? { detail } : { detail, fix: 'Publish a plan: flowmeter plans publish.' }
}

async function lookAtMeter(patient: Patient): Promise<Found> {
  const args = [uint('UInt64', patient.config.providerId)]
  const { meter, meterEpoch } = await run(patient, 'get_stream', args, view.streamView)
  const { meter: own } = patient.expected
  if (meter !== undefined && own !== undefined && meter !== own) {
    const fix = 'Use the meter’s key, or send "flowmeter provider set-meter" as the provider.'
    return { detail: `the provider’s meter is ${meter}, METER_KEY is of ${own}`, fix }
  }
  if (meter !== undefined) return { detail: `${meter}, meter epoch ${meterEpoch}` }
  return {
    detail: 'the provider has set no meter',
    fix: 'As the provider: flowmeter provider set-meter.',
  }
}

async function lookAtLightClient(patient: Patient): Promise<Found> {
  const { lastEpoch, epochs } = await run(patient, 'get_light_client', [], view.lightClientView)
  return { detail: `signing policies up to reward epoch ${lastEpoch}, ${epochs.length} held` }
}

/** Vaults, records, batches and plans lie in it: without room for more nothing is accepted or charged. */
async function lookAtStorage(patient: Patient): Promise<Found> {
  const { contractsAddress } = patient.config
  const args = [address(contractsAddress)]
  const { used, capacity } = await run(patient, 'get_storage', args, view.storageView)
  const percent = capacity === 0n ? 100n : (used * 100n) / capacity
  const detail = `${used} of ${capacity} bytes of ${contractsAddress} are used: ${percent} %`
  if (percent < STORAGE_PERCENT_MAX) return { detail }
  const fix = `Send FLOW to ${contractsAddress}: 1 FLOW is 100 MB. When it is full, nothing settles.`
  return { detail, fix, isWarning: true }
}

/** On a local network one key is as it should be. */
async function lookAtContractKeys(patient: Patient): Promise<Found> {
  const { detail, fix } = contractKeys(await readTrustedKeys(patient))
  if (fix === undefined || patient.config.network === 'emulator') return { detail }
  return { detail, fix, isWarning: true }
}

async function lookAtGovernors(patient: Patient): Promise<Found> {
  return { ...governors(await readTrustedKeys(patient)), isWarning: true }
}

function readTrustedKeys(patient: Patient): Promise<TrustedKeys> {
  const { contractsAddress } = patient.config
  return run(patient, 'get_trusted_keys', [address(contractsAddress)], trustedKeysView)
}

async function run<T>(
  { client, files, signal }: Patient,
  name: string,
  args: Parameters<FlowClient['script']>[1],
  shape: Parameters<typeof view.readCadence<T>>[1],
): Promise<T> {
  const json = await client.script(files.script(name), args, signal)
  return view.readCadence(json, shape, `the result of ${name}`)
}

function fixOf(code: string): string {
  switch (code) {
    case 'settler_unreachable':
      return 'Is FLOW_ACCESS_NODE the REST address of a node that is up?'
    case 'settler_nonsense':
      return 'Check the addresses in the settings: is all of it on this network?'
    default:
      return 'Check FLOW_ACCOUNT_ADDRESS, FLOW_PRIVATE_KEY and FLOW_KEY_INDEXES.'
  }
}
