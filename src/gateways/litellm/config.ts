import { z } from 'zod'

/** Where keys are managed, and with which key of our own. */
export const litellmGateway = {
  /** The source whose LiteLLM it is; the only one of kind `litellm` unless said. */
  source: z.string().min(1).optional(),
  /** Where its management routes are; the address of the source unless said. */
  apiUrl: z
    .url({ protocol: /^https?$/ })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  /** The variable with a key of the role proxy_admin that is used for nothing else. */
  adminKeyEnv: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/, 'expected the name of an environment variable')
    .default('BUDGETS_ADMIN_KEY'),
  requestTimeoutMs: z.int().min(100).max(120_000).default(10_000),
}

export interface LitellmGatewayConfig {
  readonly source?: string | undefined
  readonly apiUrl?: string | undefined
  readonly adminKeyEnv: string
  readonly requestTimeoutMs: number
}
