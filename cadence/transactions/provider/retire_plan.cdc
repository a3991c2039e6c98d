import "SubscriptionVaults"

/// Offers a price plan no longer: no vault opens with it or takes it on. Vaults on it keep it.
///
transaction(plan: UInt64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Operate) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("retire_plan: The signer is no provider")
        provider.retirePlan(plan)
    }
}
