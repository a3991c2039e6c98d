import "SubscriptionVaults"

/// Appends model names to the table of a provider who allowed it; a name that is in it keeps its
/// number.
///
/// @param provider the provider's address
///
transaction(provider: Address, names: [String]) {
    prepare(signer: auth(CopyValue) &Account) {
        let capability = signer.storage
            .copy<Capability<auth(SubscriptionVaults.RegisterModels) &SubscriptionVaults.Provider>>(
                from: StoragePath(identifier: "FlowmeterModelRegistration_\(provider)")!
            ) ?? panic("register_models: The signer claimed nothing of \(provider)")
        let borrowed = capability.borrow()
            ?? panic("register_models: \(provider) took back what it had allowed")
        borrowed.appendModels(names)
    }
}
