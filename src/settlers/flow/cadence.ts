import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { assert } from '../../domain/errors.js'
import type { FlowConfig } from './config.js'

/** Our contracts, all on one account, in the order of their deployment. */
export const CONTRACTS = [
  'FlareLightClient',
  'UsageBatches',
  'PricePlans',
  'TokenPrices',
  'SubscriptionVaults',
] as const

/** Those that are deployed on a network: the adapter to Band's oracle where Band has one. */
export function contractsOn(network: FlowConfig['network']): readonly string[] {
  return network === 'emulator' ? CONTRACTS : [...CONTRACTS, 'BandPrices']
}

/** What every network has, by network (https://developers.flow.com, core contracts). */
const STANDARD_CONTRACTS: Readonly<Record<FlowConfig['network'], Record<string, string>>> = {
  mainnet: {
    FungibleToken: '0xf233dcee88fe0abe',
    FlowToken: '0x1654653399040a61',
    FlowFees: '0xf919ee77447b7497',
    Burner: '0xf233dcee88fe0abe',
    BandOracle: '0x6801a6222ebf784a',
  },
  testnet: {
    FungibleToken: '0x9a0766d93b6608b7',
    FlowToken: '0x7e60df042a9c0868',
    FlowFees: '0x912d5440f7e3769e',
    Burner: '0x9a0766d93b6608b7',
    BandOracle: '0x9fb6606c300b5051',
  },
  emulator: {
    FungibleToken: '0xee82856bf20e2aa6',
    FlowToken: '0x0ae53cb6e3f42a79',
    FlowFees: '0xe5a8b7f23e8b548f',
    Burner: '0xf8d6e0586b0a20c7',
  },
}

export interface Script {
  /** For messages. */
  readonly name: string
  readonly source: string
}

/** The package's Cadence sources, ready to be sent: every import names an address. */
export class CadenceFiles {
  readonly #addresses: Readonly<Record<string, string>>
  readonly #read = new Map<string, string>()

  constructor({ network, contractsAddress }: Pick<FlowConfig, 'network' | 'contractsAddress'>) {
    const ours = [...CONTRACTS, 'BandPrices'].map((name) => [name, contractsAddress])
    // On the emulator a stand-in of Band's oracle lies beside our contracts.
    const band = network === 'emulator' ? { BandOracle: contractsAddress } : {}
    this.#addresses = { ...STANDARD_CONTRACTS[network], ...band, ...Object.fromEntries(ours) }
  }

  /** The identifier of FLOW's vault type. */
  flowToken(): string {
    return `A.${this.#addresses.FlowToken?.slice(2)}.FlowToken.Vault`
  }

  /** `script('get_vaults')` */
  script(name: string): Script {
    return { name, source: this.#load(join('scripts', `${name}.cdc`)) }
  }

  /** `transaction('anybody/settle_runs')` */
  transaction(name: string): string {
    return this.#load(join('transactions', `${name}.cdc`))
  }

  /** `contract('UsageBatches')` */
  contract(name: string): string {
    return this.#load(join('contracts', `${name}.cdc`))
  }

  #load(path: string): string {
    const known = this.#read.get(path)
    if (known !== undefined) return known
    const source = this.#resolveImports(readFileSync(join(cadenceFolder(), path), 'utf8'))
    this.#read.set(path, source)
    return source
  }

  #resolveImports(source: string): string {
    return source.replace(/^([ \t]*)import[ \t]+"(\w+)"/gm, (_, indent: string, name: string) => {
      const address = this.#addresses[name]
      assert(address !== undefined, `no address is known for import "${name}"`)
      return `${indent}import ${name} from ${address}`
    })
  }
}

/** `cadence/` of the package, seen from `src/` and from `dist/src/`. */
function cadenceFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'cadence', 'scripts'))) return join(folder, 'cadence')
  }
  throw new Error('the folder cadence/ is not beside the program: install it whole')
}
