import "PricePlans"

/// What a plan charges for totals of billable tokens (1e-4 tokens), in wad, one each.
///
access(all) fun main(plan: UInt64, billables: [UInt]): [UInt] {
    let prices: [UInt] = []
    for billable in billables {
        prices.append(PricePlans.price(plan: plan, billable: billable))
    }
    return prices
}
