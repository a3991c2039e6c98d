import "SubscriptionVaults"

/// Says what opening a vault takes for its storage, in its token. It comes back at the end.
///
/// @param token identifier of its vault's type
///
transaction(token: String, amount: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(SubscriptionVaults.Govern) &SubscriptionVaults.Governor>(
                from: SubscriptionVaults.GovernorPath
            ) ?? panic("set_storage_deposit: The signer holds no SubscriptionVaults.Governor")
        let type = CompositeType(token) ?? panic("set_storage_deposit: There is no type \(token)")
        governor.setStorageDeposit(token: type, amount: amount)
    }
}
