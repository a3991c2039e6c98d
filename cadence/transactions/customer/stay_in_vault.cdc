import "SubscriptionVaults"

/// Takes back the signer's own notice to leave, while the vault is not ended and its provider has not
/// given notice too. Debts and limits are what they were.
///
transaction(provider: UInt64, number: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("stay_in_vault: The signer holds no subscription \(number) of provider \(provider)")
        subscription.stay()
    }
}
