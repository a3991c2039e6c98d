import { z } from 'zod'
import { areAddresses } from '../runtime/addresses.js'

const text = z.string().trim()
const list = text
  .default('')
  .transform((value) => value.split(',').flatMap((item) => item.trim() || []))
const addresses = list.refine(
  areAddresses,
  'expected addresses or CIDR ranges, such as 10.0.0.7 or 10.0.0.0/8',
)
const ADMIN_TOKEN_MIN = 24

export const httpConfig = z.strictObject({
  host: text.default('127.0.0.1'),
  port: z.coerce.number().int().min(0).max(65_535).default(3000),
  allowedIps: addresses,
  tokenIps: addresses,
  trustedProxies: addresses,
  httpHosts: list
    .transform((names) => names.map((name) => name.toLowerCase()))
    .refine(
      (names) => names.every((name) => /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name)),
      'expected names of hosts, such as meter.example.org, without scheme, port or path',
    ),
  adminToken: text
    .min(
      ADMIN_TOKEN_MIN,
      `expected at least ${ADMIN_TOKEN_MIN} characters, such as from: openssl rand -hex 32`,
    )
    .regex(/^[\x21-\x7e]+$/, 'expected printable characters of ASCII without spaces')
    .optional(),
  requireToken: z
    .enum(['true', 'false'], 'expected true or false')
    .default('false')
    .transform((value) => value === 'true'),
  httpRateLimit: z.coerce.number().int().min(0).max(1_000_000).default(1_200),
})

export type HttpConfig = z.infer<typeof httpConfig>

/** The environment variable of each setting; a secret may also come as NAME_FILE (a path). */
export const httpSettings = {
  host: { env: 'HOST', help: 'address to listen on; 127.0.0.1' },
  port: { env: 'PORT', help: 'port of /status and the others; 3000' },
  allowedIps: {
    env: 'ALLOWED_IPS',
    help: 'addresses or CIDR ranges that may read; loopback always may',
  },
  tokenIps: {
    env: 'TOKEN_IPS',
    help: 'further ones, from which a customer’s access token is taken; none',
  },
  requireToken: {
    env: 'REQUIRE_TOKEN',
    help: 'true: without a token nobody may read, not even loopback; false',
  },
  adminToken: {
    env: 'ADMIN_TOKEN',
    secret: true,
    help: 'may do everything, from ALLOWED_IPS; none unless set',
  },
  trustedProxies: {
    env: 'TRUSTED_PROXIES',
    help: 'addresses or CIDR ranges whose X-Forwarded-For is believed; none',
  },
  httpHosts: {
    env: 'HTTP_HOSTS',
    help: 'public names under which browsers reach the page, with commas; none',
  },
  httpRateLimit: {
    env: 'HTTP_RATE_LIMIT',
    help: 'requests of one client in a minute; 0 for no limit; 1200',
  },
} as const
