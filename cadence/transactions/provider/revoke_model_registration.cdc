import "SubscriptionVaults"

/// Takes back what `share_model_registration` gave, from everybody who has it.
///
transaction() {
    prepare(signer: auth(GetStorageCapabilityController) &Account) {
        let given = Type<auth(SubscriptionVaults.RegisterModels) &SubscriptionVaults.Provider>()
        let controllers = signer.capabilities.storage
            .getControllers(forPath: SubscriptionVaults.ProviderPath)
        for controller in controllers {
            if controller.borrowType == given {
                controller.delete()
            }
        }
    }
}
