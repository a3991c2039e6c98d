import "SubscriptionVaults"

/// Offers an account what appending to the model table needs, and nothing more. It takes it with
/// `delegate/claim_model_registration`.
///
transaction(delegate: Address) {
    prepare(signer: auth(IssueStorageCapabilityController, PublishInboxCapability) &Account) {
        let capability = signer.capabilities.storage
            .issue<auth(SubscriptionVaults.RegisterModels) &SubscriptionVaults.Provider>(
                SubscriptionVaults.ProviderPath
            )
        assert(
            capability.check(),
            message: "share_model_registration: The signer is no provider"
        )
        signer.inbox.publish(capability, name: "FlowmeterModelRegistration", recipient: delegate)
    }
}
