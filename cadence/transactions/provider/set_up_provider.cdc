import "SubscriptionVaults"

/// Makes the signer a provider, once. The number is in the event ProviderCreated.
///
transaction() {
    prepare(signer: auth(SaveValue) &Account) {
        assert(
            signer.storage.type(at: SubscriptionVaults.ProviderPath) == nil,
            message: "set_up_provider: The signer is a provider already"
        )
        signer.storage.save(
            <-SubscriptionVaults.createProvider(),
            to: SubscriptionVaults.ProviderPath
        )
    }
}
