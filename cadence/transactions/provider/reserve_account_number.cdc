import "SubscriptionVaults"

/// Keeps an account number for the one address that may open it.
///
transaction(number: UInt64, holder: Address) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Operate) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("reserve_account_number: The signer is no provider")
        provider.reserve(number: number, holder: holder)
    }
}
