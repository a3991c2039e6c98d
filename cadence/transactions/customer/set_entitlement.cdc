import "SubscriptionVaults"

/// Limits what may be paid from now on, in all and in time.
///
/// @param limit wad of the plan's currency; nil: no limit
/// @param validUntil unix seconds after which nothing is paid; nil: for ever
///
transaction(provider: UInt64, number: UInt64, limit: UInt128?, validUntil: UInt64?) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("set_entitlement: The signer holds no subscription \(number) of provider \(provider)")
        subscription.setEntitlement(limit: limit, validUntil: validUntil)
    }
}
