import "SubscriptionVaults"

/// Lowers the total of a vault's billing period, and gives back what was charged for the difference:
/// first off what is owed, then from the provider's earnings to the vault's balance.
///
/// @param periodStart unix seconds
/// @param billable the total that is right, in 1e-4 tokens; 0 if nothing was applied of the period
/// @param afterSeq batches of the current meter up to it change the period no more
/// @param reason 1 to 256 characters, for the customer
///
transaction(
    account: UInt64, periodStart: UInt32, billable: UInt128, afterSeq: UInt64, reason: String
) {
    prepare(signer: auth(BorrowValue) &Account) {
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Correct) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("correct_usage: The signer is no provider")
        provider.correct(
            account: account,
            periodStart: periodStart,
            billable: billable,
            afterSeq: afterSeq,
            reason: reason
        )
    }
}
