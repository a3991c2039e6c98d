import "SubscriptionVaults"

/// Stops paying, or lets it go on. Usage is charged all the same, and stays owed.
///
transaction(provider: UInt64, number: UInt64, isPaused: Bool) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("set_paused: The signer holds no subscription \(number) of provider \(provider)")
        subscription.setPaused(isPaused)
    }
}
