import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

/// Opens a FLOW vault with a provider, and puts the first deposit in.
///
/// @param number one that the provider reserved for the signer; nil: the next free one
/// @param deposit FLOW, 0.0 for none. The storage deposit is taken beside it.
///
transaction(provider: UInt64, plan: UInt64, number: UInt64?, deposit: UFix64) {
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
            ) ?? panic("open_vault: The signer's customer is of another type")
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("open_vault: The signer has no FLOW vault")
        let beside = SubscriptionVaults.storageDeposit(token: flow.getType()) ?? 0.0
        let subscription <- customer.open(
            provider: provider,
            plan: plan,
            number: number,
            deposit: <-flow.withdraw(amount: deposit + beside),
            refund: signer.capabilities.get<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)
        )
        let path = SubscriptionVaults.subscriptionPath(
            provider: provider,
            number: subscription.number
        )
        signer.storage.save(<-subscription, to: path)
    }
}
