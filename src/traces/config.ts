import { z } from 'zod'

const text = z.string().trim()

/** Of HTTP: what may be the name of a header. Attributes of a resource are held to it, too. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** `name=value,other=value`, with `%2C` for a comma in a value: as OpenTelemetry writes lists. */
const pairs = text.default('').transform((list, context) => {
  const found: Record<string, string> = {}
  for (const pair of list.split(',').flatMap((one) => one.trim() || [])) {
    const [name = '', ...rest] = pair.split('=')
    const value = decoded(rest.join('=').trim())
    if (!NAME.test(name.trim()) || value === undefined || value === '') {
      context.addIssue({ code: 'custom', message: 'expected name=value, with commas between them' })
      return z.NEVER
    }
    found[name.trim()] = value
  }
  return found
})

/** Undefined for what no header can carry. */
function decoded(value: string): string | undefined {
  try {
    const all = decodeURIComponent(value)
    return /^[\x20-\x7e]*$/.test(all) ? all : undefined
  } catch {
    return undefined
  }
}

export const tracesConfig = z.strictObject({
  endpoint: text
    .pipe(z.url({ protocol: /^https?$/, error: 'expected a URL with http or https' }))
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  headers: pairs,
  protocol: z
    .enum(['http/protobuf', 'http/json'], 'expected http/protobuf or http/json')
    .default('http/protobuf'),
  serviceName: text.min(1).default('flowmeter'),
  resource: pairs,
})

export type TracesConfig = z.infer<typeof tracesConfig>

/** Named as all programs that speak OpenTelemetry name them. */
export const tracesSettings = {
  endpoint: {
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    help: 'where traces are sent, by OTLP over HTTP, below /v1/traces; none',
  },
  headers: {
    env: 'OTEL_EXPORTER_OTLP_HEADERS',
    secret: true,
    help: 'sent with them: name=value, with commas between',
  },
  protocol: { env: 'OTEL_EXPORTER_OTLP_PROTOCOL', help: 'http/json, or http/protobuf' },
  serviceName: { env: 'OTEL_SERVICE_NAME', help: 'who the traces are of; flowmeter' },
  resource: {
    env: 'OTEL_RESOURCE_ATTRIBUTES',
    help: 'told with each: name=value, with commas between; none',
  },
} as const
