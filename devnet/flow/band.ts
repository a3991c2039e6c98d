import { array, bool, type CadenceValue, string, ufix64, uint } from './cadence-json.js'
import { type Deployed, sendFile } from './deploy.js'
import { cadenceSource } from './sources.js'

/** Puts a stand-in of Band's oracle, and the adapter to it, on the contracts' account. */
export async function deployBand({ client, account }: Deployed): Promise<Deployed> {
  const imports = { BandOracle: account.address, BandPrices: account.address }
  const known = client.with({ imports })
  for (const path of ['devnet/contracts/BandOracle', 'contracts/BandPrices']) {
    const code = string(known.resolveImports(cadenceSource(path)))
    const name = string(path.split('/').at(-1) ?? path)
    await sendFile(known, 'governor/deploy_contract', [name, code], account)
  }
  return { client: known, account }
}

export interface Rate {
  readonly symbol: string
  /** USD for one, times 1e9. */
  readonly rate: bigint
  /** Unix seconds. */
  readonly resolvedAt: number
  /** Takes the place of a newer one too. */
  readonly isForced?: boolean
}

/** Relays one rate, as Band's relayer does. */
export async function relayRate(deployed: Deployed, rate: Rate): Promise<void> {
  const { symbol, resolvedAt, isForced = false } = rate
  await send(deployed, 'relay_rates', [
    array([string(symbol)]),
    array([uint('UInt64', rate.rate)]),
    uint('UInt64', resolvedAt),
    bool(isForced),
  ])
}

/** @param fee FLOW for each question: "0.1" */
export function setBandFee(deployed: Deployed, fee: string): Promise<void> {
  return send(deployed, 'set_band_fee', [ufix64(fee)])
}

async function send(
  { client, account }: Deployed,
  name: string,
  args: readonly CadenceValue[],
): Promise<void> {
  const cadence = cadenceSource(`devnet/transactions/${name}`)
  await client.sendOrThrow({ cadence, args, signers: [account] })
}
