import "FungibleToken"
import "SubscriptionVaults"

/// Takes out what was asked for, or what is still free of it, in the vault's token.
///
/// @param storage name of the signer's vault of the token
///
transaction(provider: UInt64, number: UInt64, storage: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("execute_token_withdrawal: The signer holds no subscription \(number) of provider \(provider)")
        let receiver = signer.storage
            .borrow<&{FungibleToken.Receiver}>(from: StoragePath(identifier: storage)!)
            ?? panic("execute_token_withdrawal: The signer has no token vault at \(storage)")
        let tokens <- subscription.executeWithdrawal()
        assert(
            receiver.isSupportedVaultType(type: tokens.getType()),
            message: "execute_token_withdrawal: Vault \(number) holds \(tokens.getType().identifier), which \(storage) does not take"
        )
        receiver.deposit(from: <-tokens)
    }
}
