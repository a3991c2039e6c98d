import "SubscriptionVaults"

/// Up to where charges of (account, period) pairs are approved, in wad; nil: they are not.
///
/// @param periodStarts as long as accounts, unix seconds
///
access(all) fun main(
    provider: UInt64, accounts: [UInt64], periodStarts: [UInt32]
): [UInt?] {
    let approvals: [UInt?] = []
    for i, account in accounts {
        let vault = SubscriptionVaults.borrowVault(provider: provider, account: account)
        approvals.append(vault?.approvedUpTo(periodStart: periodStarts[i]) ?? nil)
    }
    return approvals
}
