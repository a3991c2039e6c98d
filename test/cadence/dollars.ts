import { readFileSync } from 'node:fs'
import { string, ufix64 } from '../../devnet/flow/cadence-json.js'
import type { FlowAccount } from '../../devnet/flow/client.js'
import type { World } from './world.js'

/** Where `holdDollars` puts them: the names of a vault below /storage and of its receiver. */
export const DOLLAR_STORAGE = 'testDollars'
export const DOLLAR_RECEIVER = 'testDollarReceiver'

/** A stablecoin's contract, beside ours. @returns the type of its vaults */
export async function deployDollar(world: World): Promise<string> {
  const code = readFileSync(new URL('./contracts/TestDollar.cdc', import.meta.url), 'utf8')
  const args = [string('TestDollar'), string(world.client.resolveImports(code))]
  await world.send('governor/deploy_contract', args)
  return `A.${world.account.address.replace(/^0x/, '')}.TestDollar.Vault`
}

/** Gives an account new dollars, and a vault for them. */
export async function holdDollars(
  { client, account }: World,
  holder: FlowAccount,
  amount: string,
): Promise<void> {
  const cadence = `
    import FungibleToken from 0xee82856bf20e2aa6
    import TestDollar from ${account.address}
    transaction(amount: UFix64) {
      prepare(signer: auth(SaveValue, IssueStorageCapabilityController, PublishCapability) &Account) {
        signer.storage.save(<-TestDollar.mint(amount), to: /storage/${DOLLAR_STORAGE})
        signer.capabilities.publish(
          signer.capabilities.storage.issue<&{FungibleToken.Receiver}>(/storage/${DOLLAR_STORAGE}),
          at: /public/${DOLLAR_RECEIVER}
        )
      }
    }`
  await client.sendOrThrow({ cadence, args: [ufix64(amount)], signers: [holder] })
}
