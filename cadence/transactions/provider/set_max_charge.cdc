import "SubscriptionVaults"

/// Says which charge of one entry is too great to be applied unseen. Such an entry is held: nothing
/// of it is stored until it is approved.
///
/// @param limit wad of the plan's currency; nil: none is
///
transaction(limit: UInt128?) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Approve) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("set_max_charge: The signer is no provider")
        provider.setMaxChargePerEntry(limit)
    }
}
