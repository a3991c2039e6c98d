import "FungibleToken"
import "SubscriptionVaults"

/// Takes any token out of what vaults of one currency have paid.
///
/// @param storage name of the signer's vault of the token
///
transaction(currency: String, amount: UFix64, storage: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Collect) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("collect_token_earnings: The signer is no provider")
        let receiver = signer.storage
            .borrow<&{FungibleToken.Vault}>(from: StoragePath(identifier: storage)!)
            ?? panic("collect_token_earnings: The signer has no token vault at \(storage)")
        receiver.deposit(from: <-provider.collect(
            token: receiver.getType(),
            currency: currency,
            amount: amount
        ))
    }
}
