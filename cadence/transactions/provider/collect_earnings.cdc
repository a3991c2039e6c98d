import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

/// Takes FLOW out of what vaults of one currency have paid.
///
transaction(currency: String, amount: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Collect) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("collect_earnings: The signer is no provider")
        let receiver = signer.storage.borrow<&FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("collect_earnings: The signer has no FLOW vault")
        receiver.deposit(from: <-provider.collect(
            token: Type<@FlowToken.Vault>(),
            currency: currency,
            amount: amount
        ))
    }
}
