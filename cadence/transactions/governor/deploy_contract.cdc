/// Deploys a contract that takes no settings: PricePlans, TokenPrices, SubscriptionVaults.
///
/// @param code the source, with its imports already turned into addresses
///
transaction(name: String, code: String) {
    prepare(signer: auth(AddContract) &Account) {
        signer.contracts.add(name: name, code: code.utf8)
    }
}
