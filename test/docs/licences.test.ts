import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { root } from '../cli/run-cli.js'

// Goal: a package with a licence that nobody looked at does not get into an installation unseen.
// Method: npm's own list of this checkout, as it is and with something planted in it.

const run = promisify(execFile)
const omit = ['--omit', 'dev', '--omit', 'optional']
const listed = run('npm', ['sbom', '--sbom-format', 'cyclonedx', ...omit], {
  cwd: root,
  maxBuffer: 64 * 1024 * 1024,
}).then(({ stdout }) => JSON.parse(stdout) as { components: object[] })

async function check(list: object): Promise<{ code: number; said: string }> {
  const child = run(process.execPath, [join(root, 'scripts/check-licences.mjs')])
  child.child.stdin?.end(JSON.stringify(list))
  return child.then(
    ({ stdout }) => ({ code: 0, said: stdout }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, said: stderr }),
  )
}

test('all that an installation has is allowed', async () => {
  const list = await listed
  expect(list.components.length).toBeGreaterThan(200)
  expect(await check(list)).toMatchObject({ code: 0, said: expect.stringContaining('packages') })
})

describe('planted', () => {
  test.each([
    ['GPL-3.0-only', [{ license: { id: 'GPL-3.0-only' } }], 1],
    ['none', undefined, 1],
    ['a name of its own', [{ license: { name: 'SEE LICENSE IN x' } }], 1],
    ['one of two', [{ expression: 'GPL-2.0-only OR MIT' }], 0],
    ['both of two', [{ expression: '(GPL-2.0-only AND MIT)' }], 1],
  ])('%s', async (_what, licenses, code) => {
    const { components, ...list } = await listed
    const planted = { name: 'planted', version: '1.0.0', ...(licenses && { licenses }) }
    const seen = await check({ ...list, components: [...components, planted] })
    expect(seen.code).toBe(code)
    if (code !== 0) expect(seen.said).toContain('planted@1.0.0')
  })

  test('a newer version of an exception is looked at anew', async () => {
    const { components, ...list } = await listed
    const newer = components.map((one) =>
      'name' in one && one.name === '@walletconnect/core' ? { ...one, version: '3.0.0' } : one,
    )
    expect((await check({ ...list, components: newer })).said).toContain(
      '@walletconnect/core@3.0.0',
    )
  })

  test('nothing at all', async () => {
    expect((await check({ bomFormat: 'CycloneDX', components: [] })).code).toBe(1)
  })
})
