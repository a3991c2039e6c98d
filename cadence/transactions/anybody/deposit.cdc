import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

/// Puts the signer's FLOW into anybody's vault.
///
transaction(provider: UInt64, account: UInt64, amount: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("deposit: The signer has no FLOW vault")
        SubscriptionVaults.deposit(
            provider: provider,
            account: account,
            from: <-flow.withdraw(amount: amount)
        )
    }
}
