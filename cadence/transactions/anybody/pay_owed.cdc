import "SubscriptionVaults"

/// Pays what vaults owe, as far as balance and limits allow. Anybody may ask for it.
///
transaction(provider: UInt64, accounts: [UInt64]) {
    prepare(signer: &Account) {}

    execute {
        for account in accounts {
            SubscriptionVaults.payOwed(provider: provider, account: account)
        }
    }
}
