import "SubscriptionVaults"

/// Says what becoming a provider costs, in FLOW. It goes to the contracts' account.
///
transaction(amount: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(SubscriptionVaults.Govern) &SubscriptionVaults.Governor>(
                from: SubscriptionVaults.GovernorPath
            ) ?? panic("set_provider_fee: The signer holds no SubscriptionVaults.Governor")
        governor.setProviderFee(amount)
    }
}
