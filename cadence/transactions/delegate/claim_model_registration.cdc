import "SubscriptionVaults"

/// Takes what a provider offered with `provider/share_model_registration`.
///
/// @param provider the provider's address
///
transaction(provider: Address) {
    prepare(signer: auth(ClaimInboxCapability, SaveValue) &Account) {
        let capability = signer.inbox
            .claim<auth(SubscriptionVaults.RegisterModels) &SubscriptionVaults.Provider>(
                "FlowmeterModelRegistration", provider: provider
            ) ?? panic("claim_model_registration: \(provider) offers nothing to the signer")
        signer.storage.save(
            capability,
            to: StoragePath(identifier: "FlowmeterModelRegistration_\(provider)")!
        )
    }
}
