import "PricePlans"
import "SubscriptionVaults"

access(all) struct ProviderView {
    access(all) let id: UInt64
    access(all) let vaults: Int
    access(all) let nextNumber: UInt64
    /// The first has id 1
    access(all) let models: [String]
    access(all) let plans: [UInt64]
    /// Wad: a greater charge of one entry is held; nil: none is
    access(all) let maxChargePerEntry: UInt128?

    view init(_ desk: &SubscriptionVaults.Desk) {
        self.id = desk.provider
        self.vaults = desk.numbers.length
        self.nextNumber = desk.nextNumber
        self.models = PricePlans.modelsOf(provider: desk.provider)
        self.plans = PricePlans.plansOf(provider: desk.provider)
        self.maxChargePerEntry = desk.maxChargePerEntry
    }
}

/// A provider's public side; nil: there is no such provider.
///
access(all) fun main(provider: UInt64): ProviderView? {
    if let desk = SubscriptionVaults.borrowDesk(provider: provider) {
        return ProviderView(desk)
    }
    return nil
}
