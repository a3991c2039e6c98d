import { RetryableError } from '../domain/errors.js'
import type { Finding } from '../ports/finding.js'
import type { KeyGateway } from '../ports/key-gateway.js'
import type { BudgetsConfig, GatewayPlace, GatewaySource } from './config.js'
import { placeOfGateway } from './config.js'

export { adminKeyProblem, type BudgetsConfig, budgetsConfig, placeOfGateway } from './config.js'

type SecretOf = (variable: string) => string

/** Loads the adapter of the gateway whose keys are managed. Asks it nothing yet. */
export async function createKeyGateway(
  budgets: BudgetsConfig,
  sources: readonly GatewaySource[],
  secretOf: SecretOf,
): Promise<KeyGateway> {
  const { LitellmGateway } = await import('./litellm/gateway.js')
  const { source, apiUrl } = placeIn(budgets, sources)
  return new LitellmGateway({
    name: source,
    apiUrl,
    adminKey: secretOf(budgets.adminKeyEnv),
    timeoutMs: budgets.requestTimeoutMs,
  })
}

/** Looks at the gateway and the admin key, and says what to mend. Throws only what is a bug. */
export async function gatewayDoctor(
  budgets: BudgetsConfig,
  sources: readonly GatewaySource[],
  secretOf: SecretOf,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const check = 'keys'
  const gateway = await createKeyGateway(budgets, sources, secretOf)
  try {
    await gateway.check(signal)
    const says = `keys of source ${gateway.name} can be managed`
    return [{ check, verdict: 'ok', says }]
  } catch (error) {
    if (!(error instanceof RetryableError)) throw error
    const { fixOf } = await import('./litellm/doctor.js')
    const fix = fixOf(error.code, budgets, placeIn(budgets, sources).apiUrl)
    return [{ check, verdict: 'broken', says: error.message, fix }]
  }
}

/** The settings were checked when they were loaded. */
function placeIn(budgets: BudgetsConfig, sources: readonly GatewaySource[]): GatewayPlace {
  const place = placeOfGateway(budgets, sources)
  if (typeof place === 'string') throw new Error(place)
  return place
}
