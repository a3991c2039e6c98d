import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

/// Takes out what was asked for, or what is still free of it.
///
transaction(provider: UInt64, number: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("execute_withdrawal: The signer holds no subscription \(number) of provider \(provider)")
        let receiver = signer.storage.borrow<&FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("execute_withdrawal: The signer has no FLOW vault")
        let tokens <- subscription.executeWithdrawal()
        assert(
            receiver.isSupportedVaultType(type: tokens.getType()),
            message: "execute_withdrawal: Vault \(number) holds \(tokens.getType().identifier), not FLOW: see execute_token_withdrawal"
        )
        receiver.deposit(from: <-tokens)
    }
}
