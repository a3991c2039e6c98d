import "SubscriptionVaults"

/// Limits what is paid in a billing period of the calendar.
///
/// @param limit wad of the plan's currency; nil: no limit
///
transaction(provider: UInt64, number: UInt64, limit: UInt128?) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("set_cap: The signer holds no subscription \(number) of provider \(provider)")
        subscription.setCap(limit)
    }
}
