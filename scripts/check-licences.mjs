// Reads a CycloneDX list of what an installation has (a file, or stdin) and fails for a package whose
// licence is not among those that a closed product may ship with. What stands in EXCEPTIONS was
// looked at by a person; a new version is looked at anew.
//   npm sbom --sbom-format cyclonedx --omit dev --omit optional | node scripts/check-licences.mjs
import { readFileSync } from 'node:fs'

const ALLOWED = new Set([
  ...[
    '0BSD',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'CC0-1.0',
    'ISC',
    'MIT',
  ],
  // Of single files: what changes one of them has to be shown, and none is changed.
  'MPL-2.0',
])

/** By package, of one version: why it may be there. */
const WALLET =
  'WalletConnect Community License, no open one. Wallet code that @onflow/fcl brings and loads; nothing ' +
  'of ours calls it. Whoever ships an image ships these files too, and has to read that licence.'
const EXCEPTIONS = {
  '@walletconnect/core@2.25.0': WALLET,
  '@walletconnect/sign-client@2.25.0': WALLET,
  '@walletconnect/types@2.25.0': WALLET,
  '@walletconnect/universal-provider@2.25.0': WALLET,
  '@walletconnect/utils@2.25.0': WALLET,
}

/** An SPDX expression: of `OR` one is enough, of `AND` all are needed. */
function isAllowed(expression) {
  const bare = expression.replace(/^\((.*)\)$/, '$1')
  if (/[()]/.test(bare)) return false // Nested ones are for a person.
  if (bare.includes(' OR ')) return bare.split(' OR ').some(isAllowed)
  return bare.split(' AND ').every((one) => ALLOWED.has(one.trim()))
}

function expressionOf({ licenses = [] }) {
  const parts = licenses.map((one) => one.expression ?? one.license?.id ?? one.license?.name)
  return parts.length > 0 && parts.every(Boolean) ? parts.join(' AND ') : 'none that is known'
}

const { bomFormat, components = [] } = JSON.parse(readFileSync(process.argv[2] ?? 0, 'utf8'))
const problems = components.flatMap((one) => {
  const name = `${one.name}@${one.version}`
  const expression = expressionOf(one)
  return isAllowed(expression) || name in EXCEPTIONS ? [] : [`${name}: ${expression}`]
})
const names = new Set(components.map((one) => `${one.name}@${one.version}`))
const stale = Object.keys(EXCEPTIONS).filter((name) => names.size > 0 && !names.has(name))
if (bomFormat !== 'CycloneDX' || components.length === 0)
  problems.push('this is no list of packages')
for (const problem of problems) console.error(`not allowed: ${problem}`)
for (const name of stale) console.error(`exception that is needed no longer: ${name}`)
if (problems.length + stale.length > 0) process.exitCode = 1
else console.log(`${components.length} packages, all under licences that are allowed`)
