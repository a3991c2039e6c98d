import { readFileSync, writeFileSync } from 'node:fs'
import { ufix64, uint } from './flow/cadence-json.js'
import { sendFile } from './flow/deploy.js'
import type { Devnet } from './index.js'

/** Days of a real network are seconds here. */
const BUDGETS = { runway: { lookEveryMs: 1_000, attestMs: 10_000 } }

/** Lets a daemon of this network manage keys; what its environment needs for that besides. */
export function switchBudgetsOn({ env, litellm }: Devnet): Record<string, string> {
  const file = env.FLOWMETER_CONFIG ?? ''
  const settings = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
  writeFileSync(file, `${JSON.stringify({ ...settings, budgets: BUDGETS }, null, 2)}\n`)
  // A month of usage in a minute is what a history warns of.
  return { BUDGETS_ADMIN_KEY: litellm?.masterKey ?? '', HOLD_MULTIPLE: '0' }
}

/** FLOW out of nowhere into a vault, by its customer. */
export async function depositInto(
  { flow, vaults }: Pick<Devnet, 'flow' | 'vaults'>,
  number: bigint,
  amount: string,
): Promise<void> {
  const vault = vaults.find((one) => one.number === number)
  if (vault === undefined) throw new Error(`there is no vault ${number}`)
  const { client, provider } = flow
  await client.fund(vault.customer.address, amount)
  const ids = [uint('UInt64', provider.id), uint('UInt64', number)]
  await sendFile(client, 'anybody/deposit', [...ids, ufix64(amount)], vault.customer)
}
