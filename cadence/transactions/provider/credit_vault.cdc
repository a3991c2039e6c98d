import "FungibleToken"
import "SubscriptionVaults"

/// Gives tokens of the provider to a vault.
///
/// @param storage name of the signer's vault of the token, as flowTokenVault
/// @param reason 1 to 256 characters, for the customer
///
transaction(account: UInt64, amount: UFix64, storage: String, reason: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Correct) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("credit_vault: The signer is no provider")
        let tokens = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &{FungibleToken.Vault}>(
                from: StoragePath(identifier: storage)!
            ) ?? panic("credit_vault: The signer has no token vault at \(storage)")
        provider.credit(
            account: account,
            from: <-tokens.withdraw(amount: amount),
            reason: reason
        )
    }
}
