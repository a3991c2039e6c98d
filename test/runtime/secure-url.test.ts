import { describe, expect, test } from 'vitest'
import { hostFilter, plainTextProblem } from '../../src/runtime/secure-url.js'

const nobody = () => false

describe('what may be connected to without being named', () => {
  test.each([
    'https://rpc.example.org/ext/C/rpc',
    'http://127.0.0.1:8545',
    'http://127.255.3.4',
    'http://localhost:4000/litellm',
    'http://LOCALHOST',
    'http://[::1]:4000',
    'https://a.example.org, http://127.0.0.1:1',
    'sqlite:data/flowmeter.sqlite',
    'postgres://role:pw@127.0.0.1/litellm',
    'postgresql://role:pw@localhost:5432/litellm',
    'postgresql://role:pw@/litellm?host=/var/run/postgresql',
    'postgres://role:pw@%2Fvar%2Frun/litellm',
    'postgres://role:pw@db.example.org/litellm?sslmode=verify-full',
    'select payer, account from http.calls',
    '',
  ])('%s', (value) => {
    expect(plainTextProblem(value, nobody)).toBeUndefined()
  })
})

describe('what may not', () => {
  test.each([
    'http://rpc.example.org/ext/C/rpc',
    'HTTP://rpc.example.org',
    ' http://10.0.0.7',
    // As the parser of URLs reads them, and so the client.
    'http:rpc.example.org',
    'http:\\\\rpc.example.org',
    'http://127.0.0.1@rpc.example.org/',
    'http://localhost.example.org',
    'http://127.0.0.1.example.org',
    'http://[::ffff:10.0.0.7]/',
    'http://0xa000007/',
    'https://a.example.org,http://b.example.org',
    'postgres://role:pw@db.example.org/litellm',
    'postgres://role:pw@db/litellm?sslmode=disable',
    'postgres://role:pw@db/litellm?sslmode=no-verify',
    // With this node-postgres takes any certificate.
    'postgres://role:pw@db/litellm?sslmode=require&uselibpqcompat=true',
    'postgres://role:pw@db/litellm?sslmode=verify-full&sslmode=disable',
    'postgres://role:pw@localhost/litellm?host=db.example.org',
    'postgres://role:p w@db example/litellm',
  ])('%s', (value) => {
    const problem = plainTextProblem(value, nobody)
    expect(problem).toMatch(/^is /)
    expect(problem).not.toMatch(/example\.org|pw/)
  })
})

describe('hosts that are named', () => {
  const isNamed = hostFilter(['litellm', '.svc.cluster.local', '10.0.0.0/8', 'fd00::/8', 'DB_1'])

  test.each([
    ['http://litellm:4000', true],
    ['http://LiteLLM:4000', true],
    ['http://litellm.svc.cluster.local', true],
    ['http://svc.cluster.local', false],
    ['http://notlitellm', false],
    ['http://litellm.example.org', false],
    ['http://10.9.8.7', true],
    ['http://11.9.8.7', false],
    ['http://[fd00::7]:8080', true],
    ['http://[fe80::7]:8080', false],
    ['postgres://role:pw@db_1/litellm', true],
    ['postgres://role:pw@db_2/litellm', false],
  ])('%s: %s', (value, isFine) => {
    expect(plainTextProblem(value, isNamed ?? nobody) === undefined).toBe(isFine)
  })

  test.each(['true', 'false', '*', 'http://litellm', 'litellm:4000', '10.0.0.0/33', 'a b'])(
    '%s is no host',
    (item) => {
      expect(hostFilter([item])).toBeUndefined()
    },
  )
})
