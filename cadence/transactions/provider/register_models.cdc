import "SubscriptionVaults"

/// Appends model names to the provider's table; a name that is in it keeps its number.
///
transaction(names: [String]) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Operate) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("register_models: The signer is no provider")
        provider.registerModels(names)
    }
}
