import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlowAccount } from '../../../devnet/flow/client.js'
import { ConfigError, RetryableError } from '../../../src/domain/errors.js'
import type { Call, Fate, SignedTx } from '../../../src/ports/lane.js'
import { CadenceFiles } from '../../../src/settlers/flow/cadence.js'
import { FlowClient } from '../../../src/settlers/flow/client.js'
import type { FlowConfig } from '../../../src/settlers/flow/config.js'
import { string } from '../../../src/settlers/flow/json-cadence.js'
import { FlowLane } from '../../../src/settlers/flow/lane.js'
import { signerFor } from '../../../src/settlers/flow/signing.js'
import { signTransaction } from '../../../src/settlers/flow/transaction.js'
import { openSigner } from '../../../src/signers/index.js'
import { PATIENCE_MS } from '../../support/patience.js'
import { type FaultProxy, startFaultProxy } from './fault-proxy.js'
import { type Chain, configOf, startChain, startShortLivedChain } from './world.js'

const EXPIRY_BLOCKS = 10
const MARGIN_BLOCKS = 30

let chain: Chain
let account: FlowAccount
let proxy: FaultProxy
const { signal } = new AbortController()
const signerOf = ({ privateKey }: { privateKey: string }) =>
  openSigner(privateKey, 'FLOW_PRIVATE_KEY')

beforeAll(async () => {
  chain = await startChain()
  account = await chain.emulator.client.createAccount({ keys: 2, fundFlow: '10.0' })
  proxy = await startFaultProxy(chain.emulator.restUrl)
})

afterAll(async () => {
  await proxy?.stop()
  await chain?.stop()
})

/** A new lane each time: what a restart forgets must not be needed. */
function laneOf(more: Partial<Record<keyof FlowConfig, unknown>> = {}, keyIndex = 0): FlowLane {
  const config = configOf(chain.emulator, account, more)
  const client = new FlowClient({
    accessNodes: config.accessNodes ?? [],
    requestTimeoutMs: config.requestTimeoutMs,
  })
  return new FlowLane({
    client,
    files: new CadenceFiles(config),
    keyIndex,
    signer: signerOf(config),
    config,
  })
}

/** Puts an empty contract on the account. It works once for each name. */
function deployCall(name: string): Call {
  const args = [string(name), string(`access(all) contract ${name} {}`)]
  return { what: `deploy ${name}`, body: { transaction: 'governor/deploy_contract', args } }
}

async function decidedFate(tx: SignedTx, lane = laneOf()): Promise<Fate> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const fate = await lane.fate(tx, signal)
    if (fate !== 'open') return fate
    if (performance.now() > deadline) throw new Error(`transaction ${tx.id} stays open`)
    await chain.emulator.client.makeBlock()
  }
}

async function contractNames(): Promise<readonly string[]> {
  const { accessNodes = [], requestTimeoutMs } = configOf(chain.emulator, account)
  return new FlowClient({ accessNodes, requestTimeoutMs }).contractNames(account.address, signal)
}

test('the id is known before sending, and the transaction lands under it', async () => {
  const tx = await laneOf().sign(deployCall('Lands'), signal)
  expect(await laneOf().fate(tx, signal)).toBe('open')
  await laneOf().send(tx, signal) // Throws if the node calls it otherwise.
  expect(await decidedFate(tx)).toBe('landed')
  expect((await chain.emulator.client.sealed(tx.id)).error).toBeNull()
  expect(await contractNames()).toContain('Lands')
})

test('sending the same bytes again is a success, before and after it landed', async () => {
  const tx = await laneOf().sign(deployCall('Again'), signal)
  await laneOf().send(tx, signal)
  await laneOf().send(tx, signal)
  expect(await decidedFate(tx)).toBe('landed')
  await laneOf().send(tx, signal)
  expect(await laneOf().fate(tx, signal)).toBe('landed')
})

test('a body that fails is refused, with the reason', async () => {
  const first = await laneOf().sign(deployCall('Twice'), signal)
  await laneOf().send(first, signal)
  expect(await decidedFate(first)).toBe('landed')

  const second = await laneOf().sign(deployCall('Twice'), signal)
  await laneOf().send(second, signal)
  const lane = laneOf()
  expect(await decidedFate(second, lane)).toBe('refused')
  expect(lane.lastRefusal).toMatch(/Twice/)
})

// Goal: of two transactions with one sequence number at most one can ever do its work, and the
// other is known to be gone at once, whether it was sent or not.
test('what lost its sequence number is gone', async () => {
  const winner = await laneOf().sign(deployCall('Winner'), signal)
  const sent = await laneOf().sign(deployCall('LoserSent'), signal)
  const unsent = await laneOf().sign(deployCall('LoserUnsent'), signal)
  await laneOf().send(winner, signal)
  expect(await decidedFate(winner)).toBe('landed')
  expect(await laneOf().fate(unsent, signal)).toBe('gone')
  await laneOf().send(sent, signal)
  expect(await decidedFate(sent)).toBe('gone')
  const names = await contractNames()
  expect(names).toContain('Winner')
  expect(names).not.toContain('LoserSent')
})

// Goal: a signature can be altered by anybody without breaking it. Our id then fails although the
// work was done, so it must be `gone` (ask the contract), never `refused`.
test('an altered twin that won leaves ours gone', async () => {
  const tx = await laneOf().sign(deployCall('Twin'), signal)
  const { body } = JSON.parse(tx.bytes) as { body: TwinBody }
  const [envelope] = body.envelope_signatures
  const altered = p256.Signature.fromBytes(Buffer.from(envelope.signature, 'base64'))
  const s = p256.Point.Fn.ORDER - altered.s
  envelope.signature = Buffer.from(new p256.Signature(altered.r, s).toBytes()).toString('base64')
  const answer = await fetch(`${chain.emulator.restUrl}/v1/transactions`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  const { id } = (await answer.json()) as { id: string }
  expect(id).not.toBe(tx.id)
  expect((await chain.emulator.client.sealed(id)).error).toBeNull()

  await laneOf().send(tx, signal)
  expect(await decidedFate(tx)).toBe('gone')
  expect(await contractNames()).toContain('Twin')
})

interface TwinBody {
  readonly envelope_signatures: [{ signature: string }]
}

test('what was never sent is open until its expiry, and gone after it', async () => {
  const short = await startShortLivedChain(EXPIRY_BLOCKS)
  try {
    const owner = await short.client.createAccount()
    const config = configOf(short, owner, { transactionExpiryBlocks: EXPIRY_BLOCKS })
    const client = new FlowClient({ accessNodes: [short.restUrl], requestTimeoutMs: 60_000 })
    const lane = new FlowLane({
      client,
      files: new CadenceFiles(config),
      keyIndex: 0,
      signer: signerOf(config),
      config,
    })
    const tx = await lane.sign(deployCall('Expires'), signal)
    const { refHeight } = JSON.parse(tx.bytes) as { refHeight: number }
    const decidedAt = refHeight + EXPIRY_BLOCKS + MARGIN_BLOCKS

    let height = 0
    while (height < decidedAt) {
      const fate = await lane.fate(tx, signal)
      height = (await short.client.makeBlock()).height
      if (height < decidedAt) expect(fate).toBe('open')
    }
    await lane.send(tx, signal) // The node refuses it; the fate has the say.
    expect(await lane.fate(tx, signal)).toBe('gone')
    const refused = await client.transactionResult(tx.id, signal)
    expect(refused).toEqual({ status: 'unknown' })

    const next = await lane.sign(deployCall('Expires'), signal)
    await lane.send(next, signal)
    expect((await short.client.sealed(next.id)).error).toBeNull()
    expect(await lane.fate(next, signal)).toBe('landed')
  } finally {
    await short.stop()
  }
})

test('two keys of one account are two lanes', async () => {
  const [first, second] = [laneOf(), laneOf({}, 1)]
  expect(first.name).toBe(`flow/emulator/${account.address}/0`)
  expect(second.name).toBe(`flow/emulator/${account.address}/1`)
  const txs = await Promise.all([
    first.sign(deployCall('LaneZero'), signal),
    second.sign(deployCall('LaneOne'), signal),
  ])
  await Promise.all([first.send(txs[0], signal), second.send(txs[1], signal)])
  expect(await decidedFate(txs[0], first)).toBe('landed')
  expect(await decidedFate(txs[1], second)).toBe('landed')
})

test('a secp256k1 key with SHA2_256 signs as well', async () => {
  const { client } = chain.emulator
  const privateKey = secp256k1.utils.randomSecretKey()
  const publicKey = Buffer.from(secp256k1.getPublicKey(privateKey, false).subarray(1))
  await client.sendOrThrow({
    cadence: ADD_SECP256K1_KEY,
    args: [string(publicKey.toString('hex'))],
    signers: [account.key(1)],
  })
  const lane = laneOf({ privateKey: Buffer.from(privateKey).toString('hex') }, 2)
  const tx = await lane.sign(deployCall('OtherCurve'), signal)
  await lane.send(tx, signal)
  expect(await decidedFate(tx, lane)).toBe('landed')
})

const ADD_SECP256K1_KEY = `
transaction(publicKey: String) {
    prepare(signer: auth(AddKey) &Account) {
        let key = PublicKey(
            publicKey: publicKey.decodeHex(),
            signatureAlgorithm: SignatureAlgorithm.ECDSA_secp256k1
        )
        signer.keys.add(publicKey: key, hashAlgorithm: HashAlgorithm.SHA2_256, weight: 1000.0)
    }
}`

test('signing the same draft again gives the same id', async () => {
  const config = configOf(chain.emulator, account)
  const client = new FlowClient({ accessNodes: [chain.emulator.restUrl], requestTimeoutMs: 60_000 })
  const key = await client.accountKey(account.address, 0, signal)
  const draft = {
    cadence: new CadenceFiles(config).transaction('governor/deploy_contract'),
    args: [string('Überall'), string('')],
    reference: await client.finalBlock(signal),
    address: account.address,
    keyIndex: 0,
    sequenceNumber: 0n,
    sign: await signerFor(signerOf(config), key, 'the key'),
  }
  expect(await signTransaction(draft)).toEqual(await signTransaction(draft))
})

test('another private key is a matter of configuration, and stays secret', async () => {
  const privateKey = '5'.repeat(64)
  const error = await laneOf({ privateKey })
    .sign(deployCall('Never'), signal)
    .catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ConfigError)
  expect(String(error)).not.toContain(privateKey)
})

test('an answer that got lost after the node took it costs nothing', async () => {
  const lane = laneOf({ accessNodes: proxy.url })
  const tx = await lane.sign(deployCall('LostAnswer'), signal)
  proxy.faultOf = (method) => (method === 'POST' ? 'lost answer' : 'none')
  await expect(lane.send(tx, signal)).rejects.toThrow(RetryableError)
  proxy.faultOf = () => 'none'
  expect(await decidedFate(tx)).toBe('landed')
})

// Goal: access nodes forget transactions, and others never heard of them. Method: a node that knows
// no result at all, in both ways of saying so.
test.each([
  { status: 404, body: '{"code":404,"message":"not found"}' },
  { status: 200, body: '{"block_id":"","status":"","status_code":0,"error_message":""}' },
  { status: 200, body: '{"block_id":"","status":"Expired","status_code":0,"error_message":""}' },
])('a node that knows no results ($status $body) is not believed', async (fault) => {
  const name = `Forgotten${fault.status}${fault.body.includes('Expired') ? 'Expired' : ''}`
  const lane = laneOf({ accessNodes: proxy.url })
  const tx = await lane.sign(deployCall(name), signal)
  proxy.faultOf = (_, path) => (path.startsWith('/v1/transaction_results/') ? fault : 'none')
  expect(await lane.fate(tx, signal)).toBe('open')
  await lane.send(tx, signal)
  // Its number is used: it did its work or never will, and the contract has to be asked which.
  expect(await decidedFate(tx, lane)).toBe('gone')
  expect(await contractNames()).toContain(name)
  proxy.faultOf = () => 'none'
  expect(await lane.fate(tx, signal)).toBe('landed')
})

test.each([429, 500, 503])('status %i is a reason to ask again', async (status) => {
  proxy.faultOf = () => ({ status, body: '{"code":1,"message":"busy"}' })
  const lane = laneOf({ accessNodes: proxy.url })
  const failure = await lane.sign(deployCall('Busy'), signal).catch((error: unknown) => error)
  proxy.faultOf = () => 'none'
  expect(failure).toBeInstanceOf(RetryableError)
  expect(failure).toMatchObject({ code: 'settler_unreachable' })
})

test.each(['<html>', '[]', '{"status":7}', '"text"'])('nonsense is told: %s', async (body) => {
  const tx = await laneOf().sign(deployCall('Nonsense'), signal)
  proxy.faultOf = () => ({ status: 200, body })
  const lane = laneOf({ accessNodes: proxy.url })
  const failure = await lane.fate(tx, signal).catch((error: unknown) => error)
  proxy.faultOf = () => 'none'
  expect(failure).toMatchObject({ name: 'RetryableError', code: 'settler_nonsense' })
})
