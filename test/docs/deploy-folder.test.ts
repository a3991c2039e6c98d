import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { loadConfig } from '../../src/config.js'
import { tempFolder } from '../cli/run-cli.js'
import { COMPLETE_ENV } from '../cli/settings.js'

// Goal: what operators take from deploy/ starts the daemon as it is now, and keeps what it must.
// Method: parse each file and hold it against the program; ask the tools of the trade where they are.

const root = resolve(import.meta.dirname, '../..')
const deploy = join(root, 'deploy')
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8')
const GRACE_S =
  Number(
    /GRACE_MS = ([\d_]+)/
      .exec(readFileSync(join(root, 'src/main.ts'), 'utf8'))?.[1]
      ?.replaceAll('_', ''),
  ) / 1_000

/** What a tool said against it; nothing where the machine has no such tool. */
function complaintsOf(tool: string, ...args: string[]): string {
  const run = spawnSync(tool, args, { encoding: 'utf8', cwd: root })
  if (run.error !== undefined) return ''
  return run.status === 0 ? '' : `${run.stdout}${run.stderr}` || `${tool} ended with ${run.status}`
}

/** The daemon takes these settings: nothing is unknown, and nothing is wrong. */
function problemsOf(env: Record<string, string>): readonly string[] {
  const fromFiles = Object.keys(env).filter((name) => name.endsWith('_FILE') && name !== 'LOG_FILE')
  const plain = Object.entries(env).filter(
    ([name]) =>
      !fromFiles.includes(name) && name !== 'FLOWMETER_CONFIG' && name !== 'METER_SIGNER_FILE',
  )
  const values = Object.fromEntries(plain.filter(([, value]) => !value.includes('${')))
  return loadConfig({ ...COMPLETE_ENV, ...values }, tempFolder()).warnings
}

/** Files of keys, as `flowmeter init` names them. */
const KEY_FILES = [
  ...['meter.key', 'flare-gas.key', 'flow-account.key', 'receipt-secret', 'admin-token'],
]

describe('deploy/systemd/flowmeter.service', () => {
  const unit = read('systemd/flowmeter.service')
  const all = (name: string) =>
    [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
  const one = (name: string) => all(name).at(-1)

  test('runs the daemon, waits for it, and leaves wrong settings stopped', () => {
    expect(one('ExecStart')).toBe('/usr/bin/node /opt/flowmeter/dist/src/main.js start')
    expect(GRACE_S).toBe(20)
    expect(Number(one('TimeoutStopSec'))).toBeGreaterThan(GRACE_S)
    expect([one('Restart'), one('RestartPreventExitStatus')]).toEqual(['always', '78'])
  })

  test('its settings are the daemon’s, its keys those that init makes, and none is in it', () => {
    const env = Object.fromEntries(
      all('Environment').map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    )
    expect(problemsOf(env)).toEqual([])
    const credentials = all('LoadCredential').map((line) => line.split(':'))
    const files = credentials.map(([, path = '']) => path.replace('/etc/flowmeter/keys/', ''))
    expect(files).toEqual(expect.arrayContaining(KEY_FILES))
    for (const [name] of credentials) expect(Object.values(env)).toContain(`%d/${name}`)
    expect(unit).not.toMatch(/deployer|provider/)
  })

  test('is hardened, and systemd has nothing against it', () => {
    for (const name of [
      ...['NoNewPrivileges', 'ProtectHome', 'PrivateTmp', 'PrivateDevices', 'DynamicUser'],
      ...['ProtectKernelModules', 'RestrictNamespaces', 'RestrictSUIDSGID', 'LockPersonality'],
    ]) {
      expect([name, one(name)]).toEqual([name, 'yes'])
    }
    expect([one('ProtectSystem'), one('CapabilityBoundingSet')]).toEqual(['strict', ''])
    const path = 'deploy/systemd/flowmeter.service'
    // Node may lie elsewhere on the machine of this test: that alone is not its fault.
    const said = complaintsOf('systemd-analyze', 'verify', path)
    expect(said.split('\n').filter((line) => line !== '' && !/not executable/.test(line))).toEqual(
      [],
    )
    const most = ['security', '--offline=yes', '--threshold=20', path]
    expect(complaintsOf('systemd-analyze', ...most)).toBe('')
  })
})

describe('deploy/compose.yml', () => {
  const compose = parse(read('compose.yml'), { merge: true })
  const { services } = compose
  const daemon = services['flare-connector']

  test('is LiteLLM with database and cache, the daemon, Prometheus and Grafana', () => {
    expect(Object.keys(services)).toEqual([
      ...['postgres', 'redis', 'litellm', 'flare-connector', 'prometheus', 'grafana'],
    ])
  })

  test('whatever it names is there: files, volumes, networks, secrets, services', () => {
    for (const [name, service] of Object.entries<Record<string, never>>(services)) {
      const {
        volumes = [],
        networks = [],
        secrets = [],
        depends_on = [],
      } = service as {
        volumes?: string[]
        networks?: string[] | object
        secrets?: string[]
        depends_on?: string[] | object
      }
      const keysOf = (value: string[] | object) =>
        Array.isArray(value) ? value : Object.keys(value)
      for (const volume of volumes) {
        const [from = ''] = volume.split(':')
        // Written by `flowmeter deploy`, so not in the checkout.
        if (from === '../flowmeter.config.json') continue
        const isThere = from.startsWith('.')
          ? existsSync(join(deploy, from))
          : from in compose.volumes
        expect([name, from, isThere]).toEqual([name, from, true])
      }
      for (const network of keysOf(networks)) expect(compose.networks).toHaveProperty(network)
      for (const secret of secrets) expect(compose.secrets).toHaveProperty(secret)
      for (const other of keysOf(depends_on)) expect(services).toHaveProperty(other)
    }
    expect(existsSync(join(deploy, daemon.build, 'Dockerfile'))).toBe(true)
  })

  test('ports are this machine’s alone, and no password has a default', () => {
    for (const service of Object.values<{ ports?: string[] }>(services)) {
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/)
    }
    for (const name of ['POSTGRES_PASSWORD', 'LITELLM_MASTER_KEY', 'GRAFANA_PASSWORD']) {
      expect(read('compose.yml')).toContain(`\${${name}:?`)
    }
  })

  test('the daemon has its settings and keys, its volume, and time to stop', () => {
    expect(problemsOf(daemon.environment)).toEqual([])
    const files = Object.values<{ file: string }>(compose.secrets).map(({ file }) => file)
    expect(files.map((file) => file.replace('../keys/', ''))).toEqual(KEY_FILES)
    for (const secret of daemon.secrets) {
      expect(Object.values(daemon.environment)).toContain(`/run/secrets/${secret}`)
    }
    expect(daemon.volumes).toContain('data:/app/data')
    expect(Number.parseInt(daemon.stop_grace_period, 10)).toBeGreaterThan(GRACE_S)
    expect([daemon.read_only, daemon.cap_drop]).toEqual([true, ['ALL']])
    const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
    expect(daemon.image).toBe(`flowmeter:${version}`)
  })

  test('Prometheus may ask the daemon, which it knows by its name', () => {
    const { ipv4_address: asker } = services.prometheus.networks.outer
    const { gateway } = compose.networks.outer.ipam.config[0]
    expect(daemon.environment.ALLOWED_IPS).toBe(`\${ALLOWED_IPS:-${gateway},${asker}}`)
    const { scrape_configs: jobs } = parse(read('prometheus/prometheus.yml'))
    expect(jobs[0].static_configs[0].targets).toEqual(['flare-connector:3000'])
    expect(complaintsOf('promtool', 'check', 'config', 'deploy/prometheus/prometheus.yml')).toBe('')
  })
})

describe('deploy/kustomize', () => {
  const { resources, configMapGenerator, images } = parse(read('kustomize/kustomization.yaml'))
  const [set] = parseAllDocuments(read('kustomize/stateful-set.yaml')).map((one) => one.toJS())
  const { spec } = set.spec.template
  const [container] = spec.containers

  test('names files that are there, and kubectl builds it', () => {
    for (const file of [...resources, ...configMapGenerator[0].files]) {
      expect(existsSync(join(deploy, 'kustomize', file)), file).toBe(true)
    }
    expect(complaintsOf('kubectl', 'kustomize', dirname(join(deploy, 'kustomize/x')))).toBe('')
    const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
    expect(images[0].newTag).toBe(version)
  })

  test('is one daemon, not root, with its volume, its keys and time to stop', () => {
    expect([set.kind, set.spec.replicas]).toEqual(['StatefulSet', 1])
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(GRACE_S)
    expect(spec.securityContext.runAsNonRoot).toBe(true)
    expect(container.securityContext.readOnlyRootFilesystem).toBe(true)
    const mounts = container.volumeMounts.map(({ name }: { name: string }) => name)
    const volumes = [
      ...spec.volumes,
      ...set.spec.volumeClaimTemplates.map((one: { metadata: object }) => one.metadata),
    ]
    expect(volumes.map(({ name }) => name).sort()).toEqual([...mounts].sort())
    const env = Object.fromEntries(
      container.env.map(({ name, value }: { name: string; value: string }) => [name, value]),
    )
    expect(problemsOf(env)).toEqual([])
    const files = Object.values<string>(env).map((value) =>
      value.replace('/run/secrets/flowmeter/', ''),
    )
    expect(files).toEqual(expect.arrayContaining(KEY_FILES))
    expect(container.livenessProbe.httpGet.path).toBe('/health')
    expect(container.readinessProbe.httpGet.path).toBe('/ready')
  })
})
