import type { Signer } from './transaction.js'

/** The emulator's service account: the same key at every start, known to everybody. */
export const SERVICE_ACCOUNT: Signer = {
  address: '0xf8d6e0586b0a20c7',
  keyIndex: 0,
  privateKey: Buffer.from(
    'aff3a277caf2bdd6582c156ae7b07dbca537da7833309de88e56987faa2c0f1b',
    'hex',
  ),
}

/** Where the emulator has the contracts that every network has. */
export const SYSTEM_CONTRACTS: Readonly<Record<string, string>> = {
  Burner: '0xf8d6e0586b0a20c7',
  EVM: '0xf8d6e0586b0a20c7',
  FlowFees: '0xe5a8b7f23e8b548f',
  FlowServiceAccount: '0xf8d6e0586b0a20c7',
  FlowStorageFees: '0xf8d6e0586b0a20c7',
  FlowToken: '0x0ae53cb6e3f42a79',
  FlowTransactionScheduler: '0xf8d6e0586b0a20c7',
  FungibleToken: '0xee82856bf20e2aa6',
  FungibleTokenMetadataViews: '0xee82856bf20e2aa6',
  FungibleTokenSwitchboard: '0xee82856bf20e2aa6',
  MetadataViews: '0xf8d6e0586b0a20c7',
  NonFungibleToken: '0xf8d6e0586b0a20c7',
  ViewResolver: '0xf8d6e0586b0a20c7',
}

// What the service account does for others.

export const CREATE_ACCOUNT = `
import "FlowToken"
import "FungibleToken"

transaction(publicKey: String, keys: Int, amount: UFix64) {
    prepare(service: auth(BorrowValue) &Account) {
        let account = Account(payer: service)
        let key = PublicKey(
            publicKey: publicKey.decodeHex(),
            signatureAlgorithm: SignatureAlgorithm.ECDSA_P256
        )
        var i = 0
        while i < keys {
            account.keys.add(publicKey: key, hashAlgorithm: HashAlgorithm.SHA3_256, weight: 1000.0)
            i = i + 1
        }
        let from = service.storage.borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(
            from: /storage/flowTokenVault
        )!
        let to = account.capabilities.borrow<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)!
        to.deposit(from: <-from.withdraw(amount: amount))
    }
}
`

export const TRANSFER_FLOW = `
import "FlowToken"
import "FungibleToken"

transaction(recipient: Address, amount: UFix64) {
    prepare(sender: auth(BorrowValue) &Account) {
        let from = sender.storage.borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(
            from: /storage/flowTokenVault
        )!
        let to = getAccount(recipient)
            .capabilities.borrow<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)
            ?? panic("\\(recipient) takes no FLOW")
        to.deposit(from: <-from.withdraw(amount: amount))
    }
}
`

export const SET_FEE_PARAMETERS = `
import "FlowFees"

transaction(surge: UFix64, inclusion: UFix64, execution: UFix64) {
    prepare(service: auth(BorrowValue) &Account) {
        let fees = service.storage.borrow<&FlowFees.Administrator>(from: /storage/flowFeesAdmin)!
        fees.setFeeParameters(
            surgeFactor: surge,
            inclusionEffortCost: inclusion,
            executionEffortCost: execution
        )
    }
}
`
