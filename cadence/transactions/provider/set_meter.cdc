import "SubscriptionVaults"

/// Names the key that signs the provider's batches. A meter before it is revoked at once.
///
/// @param meter address on Flare, 40 hex digits, 0x or not
///
transaction(meter: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.SetMeter) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("set_meter: The signer is no provider")
        provider.setMeter(meter)
    }
}
