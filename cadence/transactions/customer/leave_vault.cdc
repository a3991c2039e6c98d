import "SubscriptionVaults"

/// Gives notice, by the plan. When it is over, anybody may end the vault: what is owed is paid,
/// whatever the limits say, and what is left goes to the refund receiver.
///
transaction(provider: UInt64, number: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("leave_vault: The signer holds no subscription \(number) of provider \(provider)")
        subscription.leave()
    }
}
