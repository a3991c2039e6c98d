import "SubscriptionVaults"

/// Closes a vault whose notice is over: pays what is owed, and leaves the rest to be refunded.
///
transaction(provider: UInt64, account: UInt64) {
    prepare(signer: &Account) {}

    execute {
        SubscriptionVaults.end(provider: provider, account: account)
    }
}
