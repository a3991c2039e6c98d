import "SubscriptionVaults"

/// Takes another plan of the provider from the next billing period on.
///
transaction(provider: UInt64, number: UInt64, plan: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("choose_plan: The signer holds no subscription \(number) of provider \(provider)")
        subscription.choosePlan(plan)
    }
}
