import "PricePlans"

access(all) struct PlanView {
    access(all) let id: UInt64
    access(all) let provider: UInt64
    access(all) let hash: UInt256
    access(all) let currency: String
    access(all) let mode: String
    access(all) let period: String
    access(all) let minimum: UInt128
    access(all) let fee: UInt128
    access(all) let notice: UInt32
    access(all) let tiers: [PricePlans.Tier]
    /// Model ids ascend, from 0: the default rate
    access(all) let rates: [PricePlans.Rate]
    /// No vault opens with it or takes it on any more
    access(all) let isRetired: Bool

    view init(_ plan: &PricePlans.Plan) {
        self.id = plan.id
        self.provider = plan.provider
        self.hash = plan.hash
        self.currency = plan.terms.currency
        self.mode = PricePlans.modeName(plan.terms.mode)
        self.period = PricePlans.periodName(plan.terms.period)
        self.minimum = plan.terms.minimum
        self.fee = plan.terms.fee
        self.notice = plan.terms.notice
        self.tiers = plan.copyTiers()
        self.rates = plan.copyRates()
        self.isRetired = PricePlans.isRetired(plan.id)
    }
}

/// A price plan; nil: there is none with this id.
///
access(all) fun main(plan: UInt64): PlanView? {
    if let found = PricePlans.borrowPlan(plan) {
        return PlanView(found)
    }
    return nil
}
