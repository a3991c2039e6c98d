import "FungibleToken"
import "SubscriptionVaults"

/// Opens a vault of any allowed token with a provider, and puts the first deposit in.
///
/// @param number one that the provider reserved for the signer; nil: the next free one
/// @param deposit tokens, 0.0 for none. The storage deposit is taken beside it.
/// @param storage, receiver names of the signer's vault of the token and of its public receiver
///
transaction(
    provider: UInt64, plan: UInt64, number: UInt64?, deposit: UFix64,
    storage: String, receiver: String
) {
    prepare(signer: auth(BorrowValue, SaveValue) &Account) {
        if signer.storage.type(at: SubscriptionVaults.CustomerPath) == nil {
            signer.storage.save(
                <-SubscriptionVaults.createCustomer(),
                to: SubscriptionVaults.CustomerPath
            )
        }
        let customer = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Customer>(
                from: SubscriptionVaults.CustomerPath
            ) ?? panic("open_token_vault: The signer's customer is of another type")
        let tokens = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &{FungibleToken.Vault}>(
                from: StoragePath(identifier: storage)!
            ) ?? panic("open_token_vault: The signer has no token vault at \(storage)")
        let beside = SubscriptionVaults.storageDeposit(token: tokens.getType()) ?? 0.0
        let subscription <- customer.open(
            provider: provider,
            plan: plan,
            number: number,
            deposit: <-tokens.withdraw(amount: deposit + beside),
            refund: signer.capabilities.get<&{FungibleToken.Receiver}>(
                PublicPath(identifier: receiver)!
            )
        )
        let path = SubscriptionVaults.subscriptionPath(
            provider: provider,
            number: subscription.number
        )
        signer.storage.save(<-subscription, to: path)
    }
}
