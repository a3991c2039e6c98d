// Compiles contracts/ with npm `solc` into contracts/out/solc/<Contract>.json, which git ignores.
// Does nothing when no source, setting or compiler has changed, so the local network may run it
// at every start: about 50 ms when warm.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const require = createRequire(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const outDir = join(root, 'contracts', 'out', 'solc')

// The same as in foundry.toml. Coston2 and Flare run the Cancun rules.
const settings = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  outputSelection: {
    '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode'] },
  },
}

/** @returns {Record<string, string>} what is ours to compile, by its path from the root */
function ownSources() {
  const folders = ['contracts', 'contracts/interfaces', 'contracts/devnet']
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.sol'))
      .map((name) => `${folder}/${name}`),
  )
  return Object.fromEntries(
    paths.sort().map((path) => [path, readFileSync(join(root, path), 'utf8')]),
  )
}

/** Names everything that the output depends on; the packages are pinned by the lock file. */
function stampOf(sources) {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
  const packages = JSON.parse(lock).packages
  const pinned = ['solc', '@openzeppelin/contracts', '@flarenetwork/flare-periphery-contracts'].map(
    (name) => packages[`node_modules/${name}`].integrity,
  )
  return createHash('sha256')
    .update(JSON.stringify([sources, settings, pinned]))
    .digest('hex')
}

function compile(sources) {
  const solc = require('solc')
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(
      Object.entries(sources).map(([path, content]) => [path, { content }]),
    ),
    settings,
  }
  const findImport = (path) => ({
    contents: readFileSync(join(root, 'node_modules', path), 'utf8'),
  })
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }))
  const problems = output.errors ?? []
  for (const { formattedMessage } of problems) console.error(formattedMessage)
  if (problems.length > 0) throw new Error('the contracts do not compile without a word')
  return output.contracts
}

/** Writes beside and renames, so that two starters at once never read half a file. */
function writeWhole(path, content) {
  const beside = `${path}.${process.pid}`
  writeFileSync(beside, content)
  renameSync(beside, path)
}

/**
 * Brings contracts/out/solc up to date.
 * @returns {boolean} whether anything had to be compiled
 */
export function compileContracts() {
  const sources = ownSources()
  const stamp = stampOf(sources)
  const stampPath = join(outDir, 'stamp')
  try {
    if (readFileSync(stampPath, 'utf8') === stamp) return false
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  const contracts = compile(sources)
  mkdirSync(outDir, { recursive: true })
  rmSync(stampPath, { force: true })
  for (const path of Object.keys(sources)) {
    for (const [name, { abi, evm }] of Object.entries(contracts[path] ?? {})) {
      const artifact = {
        abi,
        bytecode: `0x${evm.bytecode.object}`,
        deployedBytecode: `0x${evm.deployedBytecode.object}`,
        // Where the constructor writes what it was told, as [first byte, length].
        immutables: Object.values(evm.deployedBytecode.immutableReferences ?? {})
          .flat()
          .map(({ start, length }) => [start, length])
          .sort(([a], [b]) => a - b),
      }
      writeWhole(join(outDir, `${name}.json`), `${JSON.stringify(artifact)}\n`)
    }
  }
  writeWhole(stampPath, stamp)
  return true
}

/** @returns {{ abi: object[], bytecode: string, deployedBytecode: string, immutables: [number, number][] }} of an up-to-date contract */
export function readArtifact(name) {
  return JSON.parse(readFileSync(join(outDir, `${name}.json`), 'utf8'))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) compileContracts()
