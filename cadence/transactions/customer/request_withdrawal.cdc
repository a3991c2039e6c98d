import "SubscriptionVaults"

/// Asks for free balance back. It can be taken out after the plan's notice, for 24 hours.
///
transaction(provider: UInt64, number: UInt64, amount: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("request_withdrawal: The signer holds no subscription \(number) of provider \(provider)")
        subscription.requestWithdrawal(amount: amount)
    }
}
