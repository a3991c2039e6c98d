import "SubscriptionVaults"

/// Gives a customer notice, by the plan. When it is over, anybody may end the vault: what is owed is
/// paid within the customer's limits, and what is left goes to the refund receiver.
///
transaction(account: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Close) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("close_vault: The signer is no provider")
        provider.close(account: account)
    }
}
