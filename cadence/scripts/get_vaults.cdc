import "PricePlans"
import "SubscriptionVaults"

access(all) struct PlanFrom {
    access(all) let periodStart: UInt32
    access(all) let plan: UInt64

    view init(periodStart: UInt32, plan: UInt64) {
        self.periodStart = periodStart
        self.plan = plan
    }
}

access(all) struct VaultView {
    access(all) let account: UInt64
    /// The address it was opened by
    access(all) let customer: Address
    access(all) let token: String
    access(all) let currency: String
    access(all) let period: String
    /// Earliest first
    access(all) let plans: [PlanFrom]
    /// No period before it is charged
    access(all) let openingPeriod: UInt32
    /// No period before it can be charged any more
    access(all) let floor: UInt32
    access(all) let isOpen: Bool
    /// open, leaving (its customer gave notice), closing (its provider did), closed
    access(all) let state: String
    /// Unix seconds from which it may be ended; nil: nobody gave notice, or it is closed
    access(all) let endsAt: UInt64?
    /// Tokens that come back when it is closed
    access(all) let storageDeposit: UFix64
    /// The provider kept the number for this customer
    access(all) let isReserved: Bool
    access(all) let isAutopayOn: Bool
    access(all) let isPaused: Bool

    init(_ desk: &SubscriptionVaults.Desk, account: UInt64) {
        let vault = desk.borrowVault(account)!
        let book = desk.books[vault.bookIndex()]
        self.account = account
        let agreement = desk.borrowAgreement(account)!
        self.customer = agreement.customer
        self.endsAt = agreement.endsAt
        self.storageDeposit = SubscriptionVaults.tokens(agreement.storageDeposit)
        self.token = book.token.identifier
        self.currency = book.currency
        self.period = PricePlans.periodName(vault.period())
        self.plans = []
        for pair in vault.plans() {
            self.plans.append(PlanFrom(periodStart: UInt32(pair[0]), plan: pair[1]))
        }
        self.openingPeriod = vault.openingPeriod()
        self.floor = vault.floor()
        self.isOpen = vault.isOpen()
        self.state = ["open", "leaving", "closing", "closed", "leaving"][vault.status()]
        self.isReserved = vault.isReserved()
        let limits = vault.limits()
        self.isAutopayOn = limits.isAutopayOn
        self.isPaused = limits.isPaused
    }
}

/// A page of the provider's vaults, in the order of their opening. No more: an empty page.
///
access(all) fun main(provider: UInt64, from: Int, limit: Int): [VaultView] {
    let page: [VaultView] = []
    for number in SubscriptionVaults.numbers(provider: provider, from: from, limit: limit) {
        page.append(VaultView(SubscriptionVaults.borrowDesk(provider: provider)!, account: number))
    }
    return page
}
