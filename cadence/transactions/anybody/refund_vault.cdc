import "SubscriptionVaults"

/// Pays what is left in a closed vault to its refund receiver.
///
transaction(provider: UInt64, account: UInt64) {
    prepare(signer: &Account) {}

    execute {
        SubscriptionVaults.refund(provider: provider, account: account)
    }
}
