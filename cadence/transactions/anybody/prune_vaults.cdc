import "SubscriptionVaults"

/// Gives up the records of vaults that are too old to change.
///
transaction(provider: UInt64, accounts: [UInt64]) {
    prepare(signer: &Account) {}

    execute {
        for account in accounts {
            SubscriptionVaults.prune(provider: provider, account: account)
        }
    }
}
