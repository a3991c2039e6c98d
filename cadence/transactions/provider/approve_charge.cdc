import "SubscriptionVaults"

/// Lets entries be applied that charge a vault's period up to a sum, however much at once.
///
/// @param periodStart unix seconds
/// @param chargedUpTo wad, of the whole period
///
transaction(account: UInt64, periodStart: UInt32, chargedUpTo: UInt128) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Approve) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("approve_charge: The signer is no provider")
        provider.approve(account: account, periodStart: periodStart, chargedUpTo: chargedUpTo)
    }
}
