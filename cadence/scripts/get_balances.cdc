import "SubscriptionVaults"

access(all) struct Balances {
    access(all) let account: UInt64
    /// Tokens
    access(all) let balance: UFix64
    /// Tokens that may be asked back now
    access(all) let free: UFix64
    /// Wad, over all periods: charged = paid + owed + writtenOff
    access(all) let charged: UInt256
    access(all) let paid: UInt256
    access(all) let owed: UInt256
    access(all) let writtenOff: UInt256
    /// Wad paid in the current billing period of the calendar
    access(all) let spent: UInt256
    access(all) let cap: UInt128?
    access(all) let entitled: UInt128?
    access(all) let validUntil: UInt64?
    access(all) let withdrawal: SubscriptionVaults.Withdrawal?

    init(_ desk: &SubscriptionVaults.Desk, _ vault: &SubscriptionVaults.Vault, account: UInt64) {
        self.account = account
        self.balance = vault.balance()
        self.free = desk.free(account)
        self.charged = vault.charged()
        self.paid = vault.paid()
        self.owed = vault.owed()
        self.writtenOff = vault.writtenOff()
        self.spent = vault.spent()
        let limits = vault.limits()
        self.cap = limits.cap
        self.entitled = limits.entitled
        self.validUntil = limits.validUntil
        self.withdrawal = desk.borrowAgreement(account)!.currentWithdrawal()
    }
}

/// The money of vaults, one each; nil: no such vault.
///
access(all) fun main(provider: UInt64, accounts: [UInt64]): [Balances?] {
    let all: [Balances?] = []
    let desk = SubscriptionVaults.borrowDesk(provider: provider)
    for account in accounts {
        if let vault = desk?.borrowVault(account) ?? nil {
            all.append(Balances(desk!, vault, account: account))
        } else {
            all.append(nil)
        }
    }
    return all
}
