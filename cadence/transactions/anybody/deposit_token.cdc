import "FungibleToken"
import "SubscriptionVaults"

/// Puts the signer's tokens into anybody's vault.
///
/// @param storage name of the signer's vault of the token
///
transaction(provider: UInt64, account: UInt64, amount: UFix64, storage: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let tokens = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &{FungibleToken.Vault}>(
                from: StoragePath(identifier: storage)!
            ) ?? panic("deposit_token: The signer has no token vault at \(storage)")
        SubscriptionVaults.deposit(
            provider: provider,
            account: account,
            from: <-tokens.withdraw(amount: amount)
        )
    }
}
