import "SubscriptionVaults"

/// Switches paying at settlement on or off. What is off stays owed.
///
transaction(provider: UInt64, number: UInt64, isOn: Bool) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("set_autopay: The signer holds no subscription \(number) of provider \(provider)")
        subscription.setAutopay(isOn)
    }
}
