// Adds the binaries of other platforms to package-lock.json, where npm left them out.
//
// npm leaves an optional package out of the lock file when it cannot look it up at that moment, and
// from then on `npm ci` refuses the lock file on every machine. Its version is known all the same
// (the package that wants it pins it), and where it fits is in its name. Run after `npm install`.
import { readFileSync, writeFileSync } from 'node:fs'

const SYSTEMS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const PROCESSORS = {
  amd64: 'x64',
  arm64: 'arm64',
  armv7: 'arm',
  arm: 'arm',
  ia32: 'ia32',
  loong64: 'loong64',
  mips64el: 'mips64el',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  wasm32: 'wasm32',
  x64: 'x64',
}

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
let added = 0
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isThere(path, name)) continue
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[~^]/, ''),
      ...placeOf(name),
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
    }
    added += 1
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1))
lock.packages = Object.fromEntries(sorted)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} packages of other platforms added`)

/** As Node looks it up: beside the package that wants it, or above. */
function isThere(path, name) {
  const folders = path.split('/node_modules/')
  return (
    folders.some((_, i) => {
      const above = folders.slice(0, folders.length - i).join('/node_modules/')
      return lock.packages[`${above}/node_modules/${name}`] !== undefined
    }) || lock.packages[`node_modules/${name}`] !== undefined
  )
}

/** `@scope/tool-linux-arm64-musl`: the operating system and the processor it was built for. */
function placeOf(name) {
  const parts = name.split(/[-/]/)
  const os = SYSTEMS.filter((system) => parts.includes(system))
  const cpu = parts.flatMap((part) => PROCESSORS[part] ?? [])
  if (name === 'fsevents') return { os: ['darwin'] }
  return { ...(cpu.length > 0 ? { cpu } : {}), ...(os.length > 0 ? { os } : {}) }
}
